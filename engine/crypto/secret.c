/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The objects "secret" and "secret_keyring". */
#include "engine/crypto/secret.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/log.h"

#define KEY_MAX (1 << 20) /* far above what the kernel keeps */

/* What both have in common. */
typedef struct Secret
{
  VmObject parent;
  /* properties */
  int format;
  char *keyid, *iv;
  bool loaded;
  /* state */
  uint8_t *bytes;
  size_t len;
} Secret;

typedef struct PlainSecret
{
  Secret parent;
  char *data, *file;
} PlainSecret;

typedef struct KeyringSecret
{
  Secret parent;
  int32_t serial;
} KeyringSecret;

void
vm_secret_free (void *bytes, size_t len)
{
  if (bytes)
    explicit_bzero (bytes, len);
  g_free (bytes);
}

uint8_t *
vm_secret_get (VmObject *root, const char *id, size_t *len, GError **error)
{
  Secret *s = (Secret *) vm_user_object_find (root, id);

  if (!s || !vm_object_is_a (&s->parent, &vm_secret_common_type) || !s->loaded)
    {
      vm_fail (error, "No secret with id '%s'", id);
      return NULL;
    }
  uint8_t *copy = g_malloc (s->len + 1);
  memcpy (copy, s->bytes, s->len);
  copy[s->len] = 0;
  *len = s->len;
  return copy;
}

char *
vm_secret_get_text (VmObject *root, const char *id, GError **error)
{
  size_t len;
  uint8_t *bytes = vm_secret_get (root, id, &len, error);

  if (bytes && (!g_utf8_validate ((const char *) bytes, len, NULL)))
    {
      vm_fail (error, "Data from secret %s is not valid UTF-8", id);
      vm_secret_free (bytes, len);
      return NULL;
    }
  return (char *) bytes;
}

/* --- the family ---------------------------------------------------------------------------------- */

static bool
secret_load (Secret *s, const uint8_t *input, size_t input_len, GError **error)
{
  VmObject *root = vm_object_root (&s->parent);
  uint8_t *key = NULL;
  size_t key_len = 0;

  if (s->keyid && !(key = vm_secret_get (root, s->keyid, &key_len, error)))
    return false;
  s->bytes = vm_secret_decode (input, input_len, s->format, key, key_len, s->iv, &s->len, error);
  vm_secret_free (key, key_len);
  s->loaded = s->bytes != NULL;
  return s->loaded;
}

static void
secret_finalize (VmObject *obj)
{
  Secret *s = (Secret *) obj;

  vm_secret_free (s->bytes, s->len);
}

static const char *const formats[] = { "raw", "base64", NULL };

static const VmProp common_props[]
    = { VM_PROP_ENUMERATED ("format", Secret, format, VM_SECRET_RAW, formats, "how the value is written"),
        VM_PROP_STRING ("keyid", Secret, keyid, NULL, "secret that holds the AES-256 key of the value"),
        VM_PROP_STRING ("iv", Secret, iv, NULL, "initialisation vector in base64, with keyid"),
        { .name = "loaded",
          .help = "the value is there",
          .kind = VM_PROP_BOOL,
          .flags = VM_PROP_READONLY,
          VM_PROP_COMMON (Secret, loaded) },
        { 0 } };

const VmType vm_secret_common_type = {
  .name = "secret_common",
  .parent = &vm_user_object_type,
  .size = sizeof (Secret),
  .abstract = true,
  .help = "a password or key",
  .props = common_props,
  .finalize = secret_finalize,
};

/* --- secret -------------------------------------------------------------------------------------- */

static bool
plain_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  PlainSecret *s = (PlainSecret *) obj;
  g_autoptr (GError) failed = NULL;
  char *bytes = NULL;
  size_t len;

  if (s->data && s->file)
    return vm_fail (error, "'file' and 'data' are mutually exclusive");
  if (!s->data && !s->file)
    return vm_fail (error, "Either 'file' or 'data' must be provided");
  if (s->data)
    return secret_load (&s->parent, (const uint8_t *) s->data, strlen (s->data), error);
  if (!g_file_get_contents (s->file, &bytes, &len, &failed))
    return vm_fail (error, "Unable to read %s: %s", s->file, failed->message);
  bool ok = secret_load (&s->parent, (const uint8_t *) bytes, len, error);
  vm_secret_free (bytes, len);
  return ok;
}

static void
plain_finalize (VmObject *obj)
{
  PlainSecret *s = (PlainSecret *) obj;

  if (s->data)
    explicit_bzero (s->data, strlen (s->data));
}

static const VmUserObjectClass plain_class = { .complete = plain_complete };

static const VmProp plain_props[]
    = { VM_PROP_STRING ("data", PlainSecret, data, NULL, "the value; others can see it in the list of processes"),
        VM_PROP_STRING ("file", PlainSecret, file, NULL, "file that holds the value"),
        { 0 } };

const VmType vm_secret_type = {
  .name = "secret",
  .parent = &vm_secret_common_type,
  .size = sizeof (PlainSecret),
  .help = "a password or key",
  .props = plain_props,
  .klass = &plain_class,
  .finalize = plain_finalize,
};

/* --- secret_keyring: keyctl_read(3) -------------------------------------------------------------- */

static bool
keyring_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  KeyringSecret *s = (KeyringSecret *) obj;

  if (!s->serial)
    return vm_fail (error, "Parameter 'serial' is missing");
  long size = syscall (SYS_keyctl, KEYCTL_READ, s->serial, NULL, 0);
  size_t room = CLAMP (size, 0, KEY_MAX);
  uint8_t *bytes = g_malloc0 (room + 1);
  long len = size < 0 ? size : syscall (SYS_keyctl, KEYCTL_READ, s->serial, bytes, room);
  bool ok = len >= 0 && (size_t) len <= room ? secret_load (&s->parent, bytes, len, error)
                                             : vm_fail (error, "Unable to read serial key %08x: %s",
                                                        (unsigned) s->serial, g_strerror (len < 0 ? errno : EFBIG));
  vm_secret_free (bytes, room);
  return ok;
}

static const VmUserObjectClass keyring_class = { .complete = keyring_complete };

static const VmProp keyring_props[]
    = { VM_PROP ("serial", KeyringSecret, serial, 0, "number of the key in the kernel's key ring"), { 0 } };

const VmType vm_secret_keyring_type = {
  .name = "secret_keyring",
  .parent = &vm_secret_common_type,
  .size = sizeof (KeyringSecret),
  .help = "a password or key of the kernel's key ring",
  .props = keyring_props,
  .klass = &keyring_class,
};

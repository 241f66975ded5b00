/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of "ssh": files of another host by SFTP, with libssh. Reads are several packets under
 * way. */
#include "block/protocols/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <stdlib.h>

enum
{
  PACKET = 32 * 1024, /* what every server takes */
  PACKETS = 16,
  TIMEOUT_S = 30,
};

typedef struct SshState
{
  VmErrands errands;
  ssh_session session;
  sftp_session sftp;
  sftp_file file;
} SshState;

static bool
ssh_fail (SshState *s, GError **error, const char *what)
{
  return vm_fail (error, "%s: %s", what, s->session ? ssh_get_error (s->session) : "no memory");
}

/* --- the host's key ------------------------------------------------------------------------------------------------
 */

static bool
check_known_hosts (SshState *s, GError **error)
{
  switch (ssh_session_is_known_server (s->session))
    {
    case SSH_KNOWN_HOSTS_OK:
      return true;
    case SSH_KNOWN_HOSTS_CHANGED:
      return vm_fail (error, "host key does not match the one in known_hosts; this may be a possible attack");
    case SSH_KNOWN_HOSTS_OTHER:
      return vm_fail (error, "host key for this server not found, another type exists");
    case SSH_KNOWN_HOSTS_UNKNOWN:
      return vm_fail (error, "no host key was found in known_hosts");
    case SSH_KNOWN_HOSTS_NOT_FOUND:
      return vm_fail (error, "known_hosts file not found");
    default:
      return ssh_fail (s, error, "error while checking for known server");
    }
}

/* Hex digits, in either case, with or without colons. */
static bool
same_hash (const unsigned char *hash, size_t len, const char *text)
{
  for (size_t i = 0; i < len; i++, text += 2)
    {
      while (*text == ':')
        text++;
      if (!g_ascii_isxdigit (text[0]) || !g_ascii_isxdigit (text[1])
          || g_ascii_xdigit_value (text[0]) * 16 + g_ascii_xdigit_value (text[1]) != hash[i])
        return false;
    }
  return !*text;
}

static bool
check_hash (SshState *s, const VmqSshHostKeyHash *wanted, GError **error)
{
  static const enum ssh_publickey_hash_type types[]
      = { SSH_PUBLICKEY_HASH_MD5, SSH_PUBLICKEY_HASH_SHA1, SSH_PUBLICKEY_HASH_SHA256 };
  unsigned char *hash = NULL;
  ssh_key key = NULL;
  size_t len = 0;
  bool ok;

  if (ssh_get_server_publickey (s->session, &key) != SSH_OK)
    return ssh_fail (s, error, "failed to read remote host key");
  ok = ssh_get_publickey_hash (key, types[wanted->type], &hash, &len) == 0;
  ssh_key_free (key);
  if (!ok)
    return vm_fail (error, "failed reading the hash of the server SSH key");
  ok = same_hash (hash, len, wanted->hash);
  if (!ok)
    {
      char *found = ssh_get_hexa (hash, len);
      vm_fail (error, "remote host key fingerprint '%s:%s' does not match host_key_check '%s'",
               vmq_type_sshhostkeycheckhashtype.names[wanted->type], found ? found : "", wanted->hash);
      ssh_string_free_char (found);
    }
  ssh_clean_pubkey_hash (&hash);
  return ok;
}

static bool
check_host_key (SshState *s, const VmqSshHostKeyCheck *check, GError **error)
{
  if (check && check->mode == VMQ_SSH_HOST_KEY_CHECK_MODE_NONE)
    return true;
  if (check && check->mode == VMQ_SSH_HOST_KEY_CHECK_MODE_HASH)
    return check_hash (s, check->u.hash, error);
  return check_known_hosts (s, error);
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool
log_in (SshState *s, GError **error)
{
  int answer = ssh_userauth_none (s->session, NULL);

  if (answer == SSH_AUTH_ERROR)
    return ssh_fail (s, error, "failed to authenticate using none authentication");
  if (answer != SSH_AUTH_SUCCESS)
    answer = ssh_userauth_publickey_auto (s->session, NULL, NULL);
  return answer == SSH_AUTH_SUCCESS
         || vm_fail (error, "failed to authenticate using publickey authentication and the identities held by your "
                            "ssh-agent");
}

static bool
make_session (SshState *s, const VmqBlockdevOptionsSsh *o, GError **error)
{
  long timeout = TIMEOUT_S;
  unsigned port;
  guint64 number;

  if (!g_ascii_string_to_unsigned (o->server->port, 10, 1, 65535, &number, NULL))
    return vm_fail (error, "Use only numeric port value");
  port = (unsigned) number;
  s->session = ssh_new ();
  if (!s->session || ssh_options_set (s->session, SSH_OPTIONS_HOST, o->server->host) < 0
      || ssh_options_set (s->session, SSH_OPTIONS_PORT, &port) < 0
      || (o->user && ssh_options_set (s->session, SSH_OPTIONS_USER, o->user) < 0)
      || ssh_options_set (s->session, SSH_OPTIONS_TIMEOUT, &timeout) < 0
      || ssh_options_set (s->session, SSH_OPTIONS_COMPRESSION, "none") < 0)
    return ssh_fail (s, error, "failed to set up the libssh session");
  ssh_options_parse_config (s->session, NULL); /* what cannot be read is left out */
  if (ssh_connect (s->session) != SSH_OK)
    return ssh_fail (s, error, "failed to establish SSH session");
  if (!check_host_key (s, o->host_key_check, error) || !log_in (s, error))
    return false;
  s->sftp = sftp_new (s->session);
  if (!s->sftp || sftp_init (s->sftp) < 0)
    return ssh_fail (s, error, "failed to initialize sftp handle");
  return true;
}

static void
end_session (void *opaque)
{
  SshState *s = opaque;

  if (s->file)
    sftp_close (s->file);
  if (s->sftp)
    sftp_free (s->sftp);
  if (s->session)
    {
      ssh_disconnect (s->session);
      ssh_free (s->session);
    }
}

static bool
grow (SshState *s, uint64_t size)
{
  return !size || (sftp_seek64 (s->file, size - 1) == 0 && sftp_write (s->file, "", 1) == 1);
}

static void
do_open (VmErrand *e)
{
  SshState *s = e->state;
  const VmqBlockdevOptionsSsh *o = e->options;
  sftp_attributes attributes;

  e->status = -EIO;
  if (!make_session (s, o, e->error))
    return;
  s->file = sftp_open (s->sftp, o->path, e->flags, 0644);
  if (!s->file)
    {
      ssh_fail (s, e->error, "failed to open remote file");
      return;
    }
  if (e->flags & O_CREAT && !grow (s, e->size))
    {
      ssh_fail (s, e->error, "failed to set the size of the remote file");
      return;
    }
  attributes = sftp_fstat (s->file);
  if (!attributes)
    {
      ssh_fail (s, e->error, "failed to read file attributes");
      return;
    }
  e->size = attributes->size;
  sftp_attributes_free (attributes);
  e->status = 0;
}

/* --- requests --------------------------------------------------------------------------------- */

/* Packets from AT on are sent for and taken in order; a short one is the end of the file, or of our luck. */
static void
do_read (VmErrand *e)
{
  SshState *s = e->state;
  g_autofree char *buffer = g_malloc (PACKET);
  uint32_t ids[PACKETS];
  size_t asked = 0, at = 0;
  unsigned first = 0, n = 0;

  e->status = sftp_seek64 (s->file, e->offset) < 0 ? -EIO : 0;
  while (e->status >= 0 && at < e->vec.size)
    {
      for (; n < PACKETS && asked < e->vec.size; n++)
        {
          uint32_t len = (uint32_t) MIN (e->vec.size - asked, PACKET);
          int id = sftp_async_read_begin (s->file, len);
          if (id < 0)
            break;
          ids[(first + n) % PACKETS] = (uint32_t) id;
          asked += len;
        }
      size_t want = MIN (e->vec.size - at, PACKET);
      int got = n ? sftp_async_read (s->file, buffer, (uint32_t) want, ids[first]) : -1;
      first = (first + 1) % PACKETS;
      n -= n > 0;
      if (got < 0 || (size_t) got > want)
        e->status = -EIO;
      else
        {
          vm_vec_write (e->vec, at, buffer, (size_t) got);
          at += (size_t) got;
        }
      if (e->status >= 0 && (size_t) got < want)
        break;
    }
  for (; n; n--, first = (first + 1) % PACKETS) /* answers that nobody wants */
    sftp_async_read (s->file, buffer, PACKET, ids[first]);
  /* The rest one by one. */
  if (e->status >= 0 && at < e->vec.size && sftp_seek64 (s->file, e->offset + at) < 0)
    e->status = -EIO;
  while (e->status >= 0 && at < e->vec.size)
    {
      ssize_t got = sftp_read (s->file, buffer, MIN (e->vec.size - at, PACKET));
      if (got <= 0)
        {
          e->status = got < 0 ? -EIO : 0;
          vm_vec_fill (e->vec, at, 0, got < 0 ? 0 : e->vec.size - at); /* it has become shorter */
          break;
        }
      vm_vec_write (e->vec, at, buffer, (size_t) got);
      at += (size_t) got;
    }
}

static void
do_write (VmErrand *e)
{
  SshState *s = e->state;
  g_autofree char *buffer = g_malloc (PACKET);

  e->status = sftp_seek64 (s->file, e->offset) < 0 ? -EIO : 0;
  for (size_t at = 0; e->status >= 0 && at < e->vec.size;)
    {
      size_t len = MIN (e->vec.size - at, PACKET);
      vm_vec_read (e->vec, at, buffer, len);
      ssize_t done = sftp_write (s->file, buffer, len);
      if (done <= 0)
        e->status = -EIO;
      else
        {
          at += (size_t) done;
          if ((size_t) done < len && sftp_seek64 (s->file, e->offset + at) < 0)
            e->status = -EIO;
        }
    }
}

static void
do_flush (VmErrand *e)
{
  SshState *s = e->state;

  /* A server without it keeps what it has taken; there is no more to ask for. */
  e->status = sftp_extension_supported (s->sftp, "fsync@openssh.com", "1") && sftp_fsync (s->file) < 0 ? -EIO : 0;
}

static void
do_grow (VmErrand *e)
{

  e->status = grow (e->state, e->size) ? 0 : -EIO;
}

static const VmErrandOps ssh_ops
    = { .open = do_open, .close = end_session, .read = do_read, .write = do_write, .flush = do_flush };

static bool
ssh_node_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsSsh *o = opaque;

  if (!vm_errands_open (node, &ssh_ops, o, error))
    return false;
  node->filename = g_strdup_printf ("ssh://%s%s%s:%s%s", o->user ? o->user : "", o->user ? "@" : "", o->server->host,
                                    o->server->port, o->path);
  return true;
}

static int
ssh_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  if (prealloc != VM_PREALLOC_OFF)
    {
      vm_fail (error, "Unsupported preallocation mode");
      return -ENOTSUP;
    }
  if (size < node->size && exact)
    {
      vm_fail (error, "ssh driver does not support shrinking files");
      return -ENOTSUP;
    }
  if (size <= node->size)
    return 0;
  int status = vm_errands_run (node, do_grow, &(VmErrand){ .size = size });
  if (status < 0)
    vm_fail (error, "Failed to grow file");
  else
    node->size = size;
  return status;
}

/* --- creating --------------------------------------------------------------------------------- */

static bool
ssh_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
            GError **error)
{
  return vm_errands_create (graph, &ssh_ops, sizeof (SshState), name, size, O_TRUNC, error);
}

extern const VmBlockDriver vm_block_ssh; /* by name */
const VmBlockDriver vm_block_ssh = {
  .name = "ssh",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (SshState),
  .grows = true,
  .open = ssh_node_open,
  .close = vm_errands_close,
  .read = vm_errands_read,
  .write = vm_errands_write,
  .flush = vm_errands_flush,
  .truncate = ssh_truncate,
  .create = ssh_create,
};

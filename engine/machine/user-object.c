/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object: making them. */
#include "engine/machine/user-object.h"

#include "engine/machine/machine-private.h"
#include "engine/options/documented.h"

static bool
set_props (VmObject *obj, const VmDeviceSpec *spec, GError **error)
{
  const VmUserObjectClass *klass = vm_type_klass (obj->type);
  const VmKeyVals *props = spec->props;
  /* The command line's lists have words of their own. */
  bool list = spec->text && !g_str_has_prefix (spec->text, "-object {");

  for (guint i = 0; i < props->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (props->pairs, i);
      bool mine = false;
      if (klass->set && !klass->set (obj, pair->key, pair->value, &mine, error))
        return false;
      if (mine)
        continue;
      if (!vm_type_find_prop (obj->type, pair->key, NULL))
        {
          g_autofree char *option = g_strdup_printf ("object %s", obj->type->name);
          return !vm_documented_explain (option, pair->key, pair->value, error)
                 && vm_fail (error, list ? "Invalid parameter '%s'" : "Parameter '%s' is unexpected", pair->key);
        }
      if (!vm_object_set (obj, pair->key, pair->value, error))
        return false;
    }
  return true;
}

VmObject *
vm_machine_add_object (VmMachine *m, const VmDeviceSpec *spec, GError **error)
{
  const VmType *type = vm_type_find (m->types, spec->driver);

  if (!type || type->abstract || !vm_type_is_a (type, &vm_user_object_type))
    {
      vm_fail (error, "Parameter 'qom-type' does not accept value '%s'", spec->driver);
      return NULL;
    }
  if (!spec->id)
    {
      vm_fail (error, "Parameter 'id' is missing");
      return NULL;
    }
  if (vm_object_child (m->objects, spec->id))
    {
      vm_fail (error, "attempt to add duplicate property '%s' to object (type 'container')", spec->id);
      return NULL;
    }
  const VmUserObjectClass *klass = vm_type_klass (type);
  g_autoptr (VmObject) obj = vm_object_new (type);
  obj->scope = m->env.root;
  vm_machine_apply_defaults (m, obj);
  if (!set_props (obj, spec, error))
    return NULL;
  vm_object_add_child (m->objects, spec->id, obj);
  if (klass->complete && !klass->complete (obj, m, error))
    {
      vm_object_remove_child (obj);
      return NULL;
    }
  obj->frozen = true;
  return obj;
}

static bool
is_late (const VmType *type)
{
  const VmUserObjectClass *klass = type && vm_type_is_a (type, &vm_user_object_type) ? vm_type_klass (type) : NULL;

  return klass && klass->late;
}

bool
vm_machine_create_objects (VmMachine *m, bool late, GError **error)
{
  static const char *const documented[] = {
    "iommufd",
    "rng-builtin",
    "rng-random",
    "rng-egd",
    "tls-creds-anon",
    "tls-creds-psk",
    "tls-creds-x509",
    "tls-cipher-suites",
    "filter-buffer",
    "filter-mirror",
    "filter-redirector",
    "filter-rewriter",
    "filter-dump",
    "filter-replay",
    "colo-compare",
    "cryptodev-backend-builtin",
    "cryptodev-backend-lkcf",
    "cryptodev-vhost-user",
    "secret",
    "secret_keyring",
    "sev-guest",
    "sev-snp-guest",
    "authz-simple",
    "authz-list",
    "authz-listfile",
    "authz-pam",
    "main-loop",
    "throttle-group",
    "thread-context",
    "input-linux",
    "input-barrier",
    "can-bus",
    "can-host-socketcan",
    "dbus-vmstate",
    "pr-manager-helper",
    "qtest",
    "x-remote-object",
    "memory-backend-epc",
    NULL,
  };

  for (guint i = 0; i < m->settings->objects->len; i++)
    {
      const VmDeviceSpec *spec = g_ptr_array_index (m->settings->objects, i);
      bool known = g_strv_contains (documented, spec->driver);
      const VmType *type = vm_type_find (m->types, spec->driver);
      if (is_late (type) != late)
        continue;
      const char *why = strcmp (spec->driver, "memory-backend-epc") == 0
                            ? "SGX enclave memory needs accel=kvm and the host's /dev/sgx_vepc: not available in this build"
                            : "not available in this build";
      bool ok = type || !known ? vm_machine_add_object (m, spec, error) != NULL : vm_fail (error, "%s", why);
      if (!ok)
        {
          /* What is wrong with the line, not with what it asks for. */
          if (!type || !*error || g_str_has_prefix ((*error)->message, "Parameter '")
              || g_str_has_prefix ((*error)->message, "Invalid parameter '"))
            g_prefix_error (error, "%s: ", spec->text);
          return false;
        }
    }
  return true;
}

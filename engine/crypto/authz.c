/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The authorization family, authz-simple and authz-pam. */
#include "engine/crypto/authz.h"

#include "engine/base/module.h"
#include "engine/crypto/authz-private.h"

bool
vm_authz_check (VmObject *root, const char *id, const char *identity, GError **error)
{
  VmObject *obj = vm_user_object_find (root, id);
  bool allowed = false;

  if (!obj || !vm_object_is_a (obj, &vm_authz_type))
    return vm_fail (error, "cannot find authorization object '%s'", id);
  const VmAuthzClass *klass = vm_type_klass (obj->type);
  if (!klass->allows (obj, identity, &allowed, error))
    return false;
  return allowed || vm_fail (error, "authorization object '%s' denies '%s'", id, identity);
}

const VmType vm_authz_type = {
  .name = "authz",
  .parent = &vm_user_object_type,
  .size = sizeof (VmObject),
  .abstract = true,
  .help = "says who may do something",
};

/* --- authz-simple -------------------------------------------------------------------------------- */

typedef struct AuthzSimple
{
  VmObject parent;
  char *identity;
} AuthzSimple;

static bool
simple_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  return ((AuthzSimple *) obj)->identity || vm_fail (error, "Parameter 'identity' is missing");
}

static bool
simple_allows (VmObject *obj, const char *identity, bool *allowed, GError **error)
{
  *allowed = !strcmp (identity, ((AuthzSimple *) obj)->identity);
  return true;
}

static const VmAuthzClass simple_class = { .user = { .complete = simple_complete }, .allows = simple_allows };

static const VmProp simple_props[]
    = { VM_PROP_STRING ("identity", AuthzSimple, identity, NULL, "the one name that is allowed"), { 0 } };

const VmType vm_authz_simple_type = {
  .name = "authz-simple",
  .parent = &vm_authz_type,
  .size = sizeof (AuthzSimple),
  .help = "allows one name",
  .props = simple_props,
  .klass = &simple_class,
};

/* --- authz-pam ----------------------------------------------------------------------------------- */

typedef struct AuthzPam
{
  VmObject parent;
  char *service;
  VmAuthzPamAllows *allows; /* of the module that knows PAM */
} AuthzPam;

static bool
pam_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  AuthzPam *s = (AuthzPam *) obj;

  if (!s->service)
    return vm_fail (error, "Parameter 'service' is missing");
  s->allows = vm_module_symbol ("engine/crypto", "vitrine-authz-pam", "vm_authz_pam_allows", error);
  return s->allows != NULL;
}

static bool
pam_allows (VmObject *obj, const char *identity, bool *allowed, GError **error)
{
  AuthzPam *s = (AuthzPam *) obj;

  return s->allows (s->service, identity, allowed, error);
}

static const VmAuthzClass pam_class = { .user = { .complete = pam_complete }, .allows = pam_allows };

static const VmProp pam_props[]
    = { VM_PROP_STRING ("service", AuthzPam, service, NULL, "PAM service whose account rules are asked"), { 0 } };

const VmType vm_authz_pam_type = {
  .name = "authz-pam",
  .parent = &vm_authz_type,
  .size = sizeof (AuthzPam),
  .help = "asks the host's account rules",
  .props = pam_props,
  .klass = &pam_class,
};

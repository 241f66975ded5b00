/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may do something: objects that look at a name (the distinguished name of a certificate, a SASL user) and
 * say yes or no. */
#pragma once

#include "engine/object/user-object.h"

/* The klass of their types. */
typedef struct VmAuthzClass
{
  VmUserObjectClass user;
  bool (*allows) (VmObject *obj, const char *identity, bool *allowed, GError **error); /* false: cannot tell */
} VmAuthzClass;

extern const VmType vm_authz_type; /* abstract */

/* False with ERROR set unless the object ID is there and allows IDENTITY. It is looked up each time, so it may be
 * deleted and made again at any time. */
bool vm_authz_check (VmObject *root, const char *id, const char *identity, GError **error);

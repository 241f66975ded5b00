/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What "-object" and object-add make, as far as the folders that define such types need to know. */
#pragma once

#include "engine/object/object.h"

typedef struct VmMachine VmMachine;

typedef struct VmUserObjectClass
{
  bool (*complete) (VmObject *obj, VmMachine *machine, GError **error); /* all properties are set */
  bool (*can_go) (VmObject *obj);                                       /* may object-del take it; NULL: always */
  /* A key that is no property, "rules.0.match" of a list: *MINE tells whether the type knows it. NULL: none. */
  bool (*set) (VmObject *obj, const char *key, const char *value, bool *mine, GError **error);
  bool late; /* uses character back ends: the command line's come after those */
} VmUserObjectClass;

extern const VmType vm_user_object_type; /* abstract; a child's klass is a VmUserObjectClass */

/* Below /objects, or NULL. */
VmObject *vm_user_object_find (VmObject *root, const char *id);

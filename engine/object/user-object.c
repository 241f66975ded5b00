/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The type that all objects of "-object" have in common. */
#include "engine/object/user-object.h"

const VmType vm_user_object_type = {
  .name = "user-creatable",
  .parent = &vm_object_type,
  .size = sizeof (VmObject),
  .help = "an object of -object",
  .abstract = true,
};

VmObject *
vm_user_object_find (VmObject *root, const char *id)
{
  VmObject *folder = root ? vm_object_child (root, "objects") : NULL;

  return folder ? vm_object_child (folder, id) : NULL;
}

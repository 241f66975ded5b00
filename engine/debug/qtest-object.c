/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object qtest: one more server of the test protocol. */
#include "engine/debug/qtest.h"

#include "engine/char/char.h"
#include "engine/object/user-object.h"

typedef struct QtestObject
{
  VmObject parent;
  char *chardev, *log;
  VmQtest *server;
} QtestObject;

extern const VmType vm_qtest_object_type;

static bool
qtest_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  QtestObject *q = (QtestObject *) obj;

  if (!q->chardev)
    return vm_fail (error, "Parameter 'chardev' is missing");
  if (!vm_chardev_find (machine->env.root, q->chardev))
    return vm_fail (error, "Cannot find character device '%s'", q->chardev);
  q->server = vm_qtest_serve (machine, q->chardev, q->log ? q->log : "none", error);
  return q->server != NULL;
}

static void
qtest_finalize (VmObject *obj)
{
  g_clear_pointer (&((QtestObject *) obj)->server, vm_qtest_free);
}

static const VmProp qtest_props[]
    = { VM_PROP_STRING ("chardev", QtestObject, chardev, NULL, "character back end of the client"),
        VM_PROP_STRING ("log", QtestObject, log, NULL, "file that gets what is said"),
        { 0 } };

static const VmUserObjectClass qtest_class = { .complete = qtest_complete, .late = true };

const VmType vm_qtest_object_type = {
  .name = "qtest",
  .parent = &vm_user_object_type,
  .size = sizeof (QtestObject),
  .help = "server of the test protocol",
  .props = qtest_props,
  .klass = &qtest_class,
  .finalize = qtest_finalize,
};

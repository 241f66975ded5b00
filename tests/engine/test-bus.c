/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Realize and its undo, reset order, names of buses, the tree as text. */
#include "engine/bus/device.h"

typedef struct Widget {
  VmDevice  dev;
  GString **log; /* where to write what happens */
  bool      fail;
  uint32_t  port;
  uint64_t  window;
  char     *label;
} Widget;

typedef struct Hub {
  Widget widget;
  VmBus  bus;
  VmBus  second;
} Hub;

static const VmProp widget_props[] = {
  VM_PROP ("port", Widget, port, 0x3f8, "a port"),
  VM_PROP_BYTES ("window", Widget, window, 2 * VM_GIB, "a size"),
  VM_PROP_STRING ("label", Widget, label, "x", "a label"),
  VM_PROP ("fail", Widget, fail, false, "whether realize fails"),
  { 0 }
};

static void
note (VmDevice *dev, const char *what)
{
  GString **log = ((Widget *) dev)->log;

  if (log && *log)
    g_string_append_printf (*log, "%s:%s ", vm_device_path (dev), what);
}

static bool
base_bus_realize (VmDevice *dev, GError **error)
{
  note (dev, "bus+");
  return true;
}

static void
base_bus_unrealize (VmDevice *dev)
{
  note (dev, "bus-");
}

static bool
widget_realize (VmDevice *dev, GError **error)
{
  note (dev, "base+");
  return true;
}

static void
widget_unrealize (VmDevice *dev)
{
  note (dev, "base-");
}

static void
widget_reset (VmDevice *dev, VmResetKind kind)
{
  note (dev, "reset");
}

static bool
leaf_realize (VmDevice *dev, GError **error)
{
  if (((Widget *) dev)->fail)
    return vm_fail (error, "told to fail");
  note (dev, "leaf+");
  return true;
}

static void
leaf_unrealize (VmDevice *dev)
{
  note (dev, "leaf-");
}

static bool
hub_realize (VmDevice *dev, GError **error)
{
  Hub *hub = (Hub *) dev;

  vm_bus_init (&hub->bus, "HUB", dev, NULL);
  vm_bus_init (&hub->second, "HUB", dev, NULL);
  hub->bus.max_devices = 2;
  hub->second.max_devices = 1;
  if (((Widget *) dev)->fail)
    return vm_fail (error, "told to fail");
  note (dev, "hub+");
  return true;
}

static const VmDeviceClass widget_class = {
  .realize = widget_realize, .unrealize = widget_unrealize, .reset = widget_reset,
  .bus_realize = base_bus_realize, .bus_unrealize = base_bus_unrealize,
};
static const VmType widget_type = {
  .name = "widget", .parent = &vm_device_type, .size = sizeof (Widget), .props = widget_props,
  .klass = &widget_class,
};
static const VmDeviceClass leaf_class = {
  .realize = leaf_realize, .unrealize = leaf_unrealize, .reset = widget_reset, .bus_type = "HUB",
};
static const VmType leaf_type = {
  .name = "leaf", .parent = &widget_type, .size = sizeof (Widget), .klass = &leaf_class,
};
static const VmDeviceClass hub_class = { .realize = hub_realize };
static const VmType hub_type = {
  .name = "hub", .parent = &widget_type, .size = sizeof (Hub), .klass = &hub_class,
};

typedef struct Fixture {
  VmEnv    env;
  GString *log;
} Fixture;

static void
fixture_set_up (Fixture *f, gconstpointer data)
{
  f->env.root = vm_object_new (&vm_container_type);
  f->log = g_string_new (NULL);
}

static void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  vm_object_unref (f->env.root);
  g_string_free (f->log, TRUE);
}

static VmDevice *
make (Fixture *f, const VmType *type, const char *id)
{
  VmDevice *dev = vm_device_new (type);

  ((Widget *) dev)->log = &f->log;
  if (id)
    vm_object_set_id (&dev->parent, id);
  return dev;
}

static VmDevice *
plug (Fixture *f, const VmType *type, const char *id, VmBus *bus)
{
  VmDevice *dev = make (f, type, id);
  g_autoptr (GError) error = NULL;

  vm_device_realize (dev, &f->env, bus, &error);
  g_assert_no_error (error);
  vm_object_unref (&dev->parent);
  return dev;
}

static void
check_log (Fixture *f, const char *expected)
{
  g_assert_cmpstr (f->log->str, ==, expected);
  g_string_truncate (f->log, 0);
}

static void
test_life (Fixture *f, gconstpointer data)
{
  VmDevice *hub = plug (f, &hub_type, "h", NULL);
  check_log (f, "h:bus+ h:base+ h:hub+ ");
  VmBus *bus = vm_bus_find (&f->env, "h.0");
  g_assert_true (bus == &((Hub *) hub)->bus);
  g_assert_nonnull (vm_bus_find (&f->env, "h.1"));
  g_assert_true (vm_bus_find (&f->env, "/machine/peripheral/h/h.1") == &((Hub *) hub)->second);
  plug (f, &leaf_type, "a", bus);
  VmDevice *b = plug (f, &leaf_type, "b", bus);
  check_log (f, "a:bus+ a:base+ a:leaf+ b:bus+ b:base+ b:leaf+ ");
  g_assert_true (vm_bus_find_type (&f->env, "HUB") == &((Hub *) hub)->second); /* has room */
  vm_device_reset (hub, VM_RESET_COLD);
  check_log (f, "a:reset b:reset h:reset ");
  vm_devices_reset (&f->env, VM_RESET_COLD);
  check_log (f, "a:reset b:reset h:reset ");
  vm_device_unrealize (b);
  check_log (f, "b:leaf- b:base- b:bus- ");
  g_assert_null (vm_object_resolve (f->env.root, "b"));
  vm_device_unrealize (hub);
  check_log (f, "a:leaf- a:base- a:bus- h:base- h:bus- ");
  g_assert_null (vm_bus_find (&f->env, "h.0"));
}

static void
check_fails (Fixture *f, VmDevice *dev, VmBus *bus, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (vm_device_realize (dev, &f->env, bus, &error));
  g_assert_cmpstr (error->message, ==, message);
  g_assert_null (dev->bus);
  g_assert_null (dev->parent.parent);
  g_assert_false (dev->realized);
  vm_object_unref (&dev->parent);
}

static void
test_failures (Fixture *f, gconstpointer data)
{
  VmDevice *hub = plug (f, &hub_type, NULL, NULL);
  VmBus *bus = &((Hub *) hub)->bus;
  VmDevice *dev;

  g_string_truncate (f->log, 0);
  dev = make (f, &leaf_type, "x");
  vm_object_set_uint (&dev->parent, "fail", 1);
  check_fails (f, dev, bus, "told to fail");
  check_log (f, "x:bus+ x:base+ x:base- x:bus- ");
  g_assert_cmpuint (bus->devices->len, ==, 0);
  dev = make (f, &hub_type, "y");
  vm_object_set_uint (&dev->parent, "fail", 1);
  check_fails (f, dev, NULL, "told to fail");
  g_assert_null (vm_bus_find (&f->env, "y.0"));
  check_fails (f, make (f, &leaf_type, NULL), NULL, "No 'HUB' bus found for device 'leaf'");
  bus->type_name = "PCI";
  check_fails (f, make (f, &leaf_type, NULL), bus, "Device 'leaf' can't go on PCI bus");
  bus->type_name = "HUB";
  dev = make (f, &leaf_type, NULL);
  dev->hotplugged = true;
  check_fails (f, dev, bus, "Bus 'hub.0' does not support hotplugging");
  plug (f, &leaf_type, "a", bus);
  check_fails (f, make (f, &leaf_type, "a"), bus, "Duplicate device ID 'a'");
  plug (f, &leaf_type, NULL, bus);
  check_fails (f, make (f, &leaf_type, NULL), bus, "Bus 'hub.0' is full");
  vm_device_unrealize (hub);
}

static void
test_names (Fixture *f, gconstpointer data)
{
  VmDevice *first = plug (f, &hub_type, NULL, NULL);
  VmDevice *second = plug (f, &hub_type, NULL, NULL);

  g_assert_cmpstr (((Hub *) first)->second.name, ==, "hub.1");
  g_assert_cmpstr (((Hub *) second)->bus.name, ==, "hub.2");
  vm_device_unrealize (first);
  first = plug (f, &hub_type, NULL, NULL);
  g_assert_cmpstr (((Hub *) first)->bus.name, ==, "hub.0");
  vm_device_unrealize (second);
  vm_device_unrealize (first);
}

static void
test_hotplug_resets (Fixture *f, gconstpointer data)
{
  VmDevice *hub = plug (f, &hub_type, "h", NULL);
  VmDevice *dev = make (f, &leaf_type, "new");

  g_string_truncate (f->log, 0);
  ((Hub *) hub)->bus.hotplug = true;
  dev->hotplugged = true;
  g_assert_true (vm_device_realize (dev, &f->env, &((Hub *) hub)->bus, NULL));
  vm_object_unref (&dev->parent);
  check_log (f, "new:bus+ new:base+ new:leaf+ new:reset ");
  vm_device_unrealize (hub);
}

static char *
describe (VmBus *bus, VmDevice *dev)
{
  return g_strdup ("class Hub thing\nbar 0: none");
}

static void
test_qtree (Fixture *f, gconstpointer data)
{
  VmDevice *hub = plug (f, &hub_type, NULL, NULL);

  ((Hub *) hub)->bus.describe = describe;
  plug (f, &leaf_type, "a", &((Hub *) hub)->bus);
  g_autofree char *text = vm_device_describe_tree (&f->env);
  g_assert_cmpstr (text, ==,
                   "bus: main-system-bus\n"
                   "  type System\n"
                   "  dev: hub, id \"\"\n"
                   "    port = 1016 (0x3f8)\n"
                   "    window = 2147483648 (2 GiB)\n"
                   "    label = \"x\"\n"
                   "    fail = false\n"
                   "    bus: hub.1\n"
                   "      type HUB\n"
                   "    bus: hub.0\n"
                   "      type HUB\n"
                   "      dev: leaf, id \"a\"\n"
                   "        port = 1016 (0x3f8)\n"
                   "        window = 2147483648 (2 GiB)\n"
                   "        label = \"x\"\n"
                   "        fail = false\n"
                   "        class Hub thing\n"
                   "        bar 0: none\n");
  vm_device_unrealize (hub);
}

#define ADD(path, func)                                                                          \
  g_test_add (path, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/bus/life", test_life);
  ADD ("/bus/failures", test_failures);
  ADD ("/bus/names", test_names);
  ADD ("/bus/hotplug-resets", test_hotplug_resets);
  ADD ("/bus/qtree", test_qtree);
  return g_test_run ();
}

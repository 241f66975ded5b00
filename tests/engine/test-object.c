/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Types, properties and the object tree. */
#include "engine/object/object.h"

typedef struct Chip {
  uint8_t  reg;
  uint32_t rate;
} Chip;

typedef struct Thing {
  VmObject    parent;
  bool        flag;
  uint8_t     u8;
  uint16_t    u16;
  uint32_t    u32;
  uint64_t    u64;
  int32_t     i32;
  int64_t     i64;
  uint64_t    size;
  char       *name;
  VmOnOffAuto mode;
  int         color;
  uint32_t    bits;
  VmObject   *peer;
  char       *upper;
  unsigned    changes;
  Chip        chip;
} Thing;

typedef struct Child {
  Thing    thing;
  uint32_t extra;
} Child;

static const char *const color_names[] = { "red", "green", "blue", NULL };

static bool
upper_set (VmObject *obj, void *field, const char *text, GError **error)
{
  if (strcmp (text, "bad") == 0)
    return vm_fail (error, "Property '%s.upper' doesn't take value 'bad'", obj->type->name);
  g_free (*(char **) field);
  *(char **) field = g_ascii_strup (text, -1);
  return true;
}

static char *
upper_get (VmObject *obj, const void *field)
{
  return g_strdup (*(char *const *) field);
}

static void
upper_clear (VmObject *obj, void *field)
{
  g_clear_pointer ((char **) field, g_free);
}

static const VmPropCustom upper_custom = { "str", upper_set, upper_get, upper_clear };

static void
thing_changed (VmObject *obj)
{
  ((Thing *) obj)->changes++;
}

static const VmProp chip_props[] = {
  VM_PROP ("reg", Chip, reg, 7, "a register"),
  VM_PROP ("rate", Chip, rate, 115200, "a rate"),
  { 0 }
};

static const VmType thing_type;

static const VmProp thing_props[] = {
  VM_PROP ("flag", Thing, flag, true, ""),
  VM_PROP ("u8", Thing, u8, 1, ""),
  VM_PROP ("u16", Thing, u16, 2, ""),
  VM_PROP ("u32", Thing, u32, 3, ""),
  VM_PROP ("u64", Thing, u64, UINT64_MAX, ""),
  VM_PROP ("i32", Thing, i32, -5, ""),
  VM_PROP_RT ("i64", Thing, i64, -6, "", thing_changed),
  VM_PROP_BYTES ("size", Thing, size, 4096, ""),
  VM_PROP_STRING ("name", Thing, name, "none", ""),
  VM_PROP_AUTO ("mode", Thing, mode, VM_ONOFFAUTO_AUTO, ""),
  VM_PROP_ENUMERATED ("color", Thing, color, 1, color_names, ""),
  VM_PROP_BITOF ("bit3", Thing, bits, 3, true, ""),
  VM_PROP_BITOF ("bit31", Thing, bits, 31, false, ""),
  VM_PROP_LINK_TO ("peer", Thing, peer, &thing_type, ""),
  VM_PROP_CUSTOM_KIND ("upper", Thing, upper, &upper_custom, "abc", ""),
  VM_PROP_EMBED (Thing, chip, chip_props),
  { .name = "fixed", .kind = VM_PROP_U8, .flags = VM_PROP_READONLY, .def = 9,
    VM_PROP_COMMON (Thing, chip.reg) },
  { 0 }
};

static void
thing_init (VmObject *obj)
{
  g_assert_cmpuint (((Thing *) obj)->u8, ==, 1);
  ((Thing *) obj)->u16 += 10;
}

static void
child_init (VmObject *obj)
{
  g_assert_cmpuint (((Thing *) obj)->u16, ==, 12);
  ((Thing *) obj)->u16 += 100;
}

static const VmType thing_type = {
  .name = "thing", .parent = &vm_object_type, .size = sizeof (Thing), .help = "a thing",
  .props = thing_props, .init = thing_init, .klass = "klass",
};

static const VmProp child_props[] = {
  VM_PROP ("extra", Child, extra, 42, ""),
  VM_PROP_STRING ("name", Child, thing.name, "child's", ""),
  { 0 }
};

static const VmType child_type = {
  .name = "a-child", .parent = &thing_type, .size = sizeof (Child), .help = "a child",
  .props = child_props, .init = child_init,
};

static const VmType big_type = {
  .name = "big", .parent = &vm_object_type, .size = sizeof (VmObject) + 64 * VM_MIB,
};

static void
append_name (const VmType *type, void *opaque)
{
  g_string_append_printf (opaque, "%s ", type->name);
}

static bool
append_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  g_string_append_printf (opaque, "%s ", prop->name);
  return strcmp (prop->name, "extra") != 0;
}

static void
test_types (void)
{
  const VmType *const types[] = { &thing_type, &big_type, &vm_container_type, &child_type,
                                  &vm_object_type };
  VmTypeList *list = vm_type_list_new (types, G_N_ELEMENTS (types));
  g_autoptr (GString) text = g_string_new (NULL);
  uint32_t offset;

  vm_type_foreach (list, NULL, append_name, text);
  g_assert_cmpstr (text->str, ==, "a-child big container object thing ");
  g_string_truncate (text, 0);
  vm_type_foreach (list, &thing_type, append_name, text);
  g_assert_cmpstr (text->str, ==, "a-child thing ");
  g_assert_true (vm_type_find (list, "big") == &big_type);
  g_assert_null (vm_type_find (list, "bigger"));
  g_assert_true (vm_type_is_a (&child_type, &thing_type));
  g_assert_false (vm_type_is_a (&thing_type, &child_type));
  g_assert_true (vm_type_klass (&child_type) == thing_type.klass);
  g_assert_null (vm_type_klass (&big_type));
  g_string_truncate (text, 0);
  vm_type_foreach_prop (&child_type, append_prop, text);
  g_assert_cmpstr (text->str, ==, "flag u8 u16 u32 u64 i32 i64 size mode color bit3 bit31 peer upper "
                                  "reg rate fixed extra ");
  g_assert_nonnull (vm_type_find_prop (&child_type, "rate", &offset));
  g_assert_cmpuint (offset, ==, offsetof (Thing, chip.rate));
  g_assert_cmpstr (vm_prop_type_name (vm_type_find_prop (&child_type, "peer", NULL)), ==, "thing");
  g_assert_cmpstr (vm_prop_type_name (vm_type_find_prop (&child_type, "bit3", NULL)), ==, "bool");
  vm_type_list_free (list);
}

static void
check_get (VmObject *obj, const char *name, const char *expected)
{
  g_autofree char *text = vm_object_get (obj, name, NULL);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_defaults (void)
{
  g_autoptr (VmObject) obj = vm_object_new (&child_type);
  Child *child = (Child *) obj;

  g_assert_cmpuint ((uintptr_t) obj % 64, ==, 0);
  g_assert_cmpuint (child->thing.u16, ==, 112);
  g_assert_cmpuint (child->thing.bits, ==, 8);
  check_get (obj, "flag", "on");
  check_get (obj, "u64", "18446744073709551615");
  check_get (obj, "i32", "-5");
  check_get (obj, "i64", "-6");
  check_get (obj, "size", "4096");
  check_get (obj, "name", "child's");
  check_get (obj, "mode", "auto");
  check_get (obj, "color", "green");
  check_get (obj, "bit3", "on");
  check_get (obj, "bit31", "off");
  check_get (obj, "peer", "");
  check_get (obj, "upper", "ABC");
  check_get (obj, "rate", "115200");
  check_get (obj, "extra", "42");
}

static void
test_big_is_lazy (void)
{
  int64_t begin = g_get_monotonic_time ();

  for (unsigned i = 0; i < 20; i++)
    {
      g_autoptr (VmObject) obj = vm_object_new (&big_type);

      g_assert_cmpuint ((uintptr_t) obj % 64, ==, 0);
    }
  g_test_message ("20 objects of 64 MiB in %" G_GINT64_FORMAT " us", g_get_monotonic_time () - begin);
}

static void
check_set (VmObject *obj, const char *name, const char *value, const char *expected)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (vm_object_set (obj, name, value, &error));
  g_assert_no_error (error);
  check_get (obj, name, expected);
}

static void
check_refused (VmObject *obj, const char *name, const char *value, const char *message)
{
  g_autofree char *before = vm_object_get (obj, name, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (vm_object_set (obj, name, value, &error));
  g_assert_cmpstr (error->message, ==, message);
  if (before)
    check_get (obj, name, before);
}

static void
test_set (void)
{
  g_autoptr (VmObject) obj = vm_object_new (&thing_type);

  static const char *const yes[] = { "on", "yes", "true", "y" };
  static const char *const no[] = { "off", "no", "false", "n" };
  for (unsigned i = 0; i < 4; i++)
    {
      check_set (obj, "flag", yes[i], "on");
      check_set (obj, "flag", no[i], "off");
      check_set (obj, "bit31", yes[i], "on");
      check_set (obj, "bit31", no[i], "off");
    }
  check_get (obj, "bit3", "on");
  check_refused (obj, "flag", "1", "Parameter 'flag' expects 'on' or 'off'");
  check_refused (obj, "flag", "On", "Parameter 'flag' expects 'on' or 'off'");
  check_refused (obj, "bit3", "", "Parameter 'bit3' expects 'on' or 'off'");
  check_set (obj, "u8", "255", "255");
  check_set (obj, "u8", "0x10", "16");
  check_set (obj, "u8", "010", "8");
  check_set (obj, "u8", " 12", "12");
  check_refused (obj, "u8", "256", "Parameter 'u8' expects uint8_t");
  check_refused (obj, "u8", "-1", "Parameter 'u8' expects uint8_t");
  check_refused (obj, "u8", "abc", "Parameter 'u8' expects integer");
  check_refused (obj, "u8", "", "Parameter 'u8' expects integer");
  check_refused (obj, "u8", "1k", "Parameter 'u8' expects integer");
  check_refused (obj, "u8", "0x", "Parameter 'u8' expects integer");
  check_refused (obj, "u8", "--1", "Parameter 'u8' expects integer");
  check_refused (obj, "u32", "5000000000", "Parameter 'u32' expects uint32_t");
  check_set (obj, "u64", "-1", "18446744073709551615");
  check_refused (obj, "u64", "99999999999999999999999", "Parameter 'u64' expects integer");
  check_set (obj, "i32", "-2147483648", "-2147483648");
  check_refused (obj, "i32", "2147483648", "Parameter 'i32' expects int32_t");
  check_refused (obj, "i32", "-2147483649", "Parameter 'i32' expects int32_t");
  check_set (obj, "i64", "-9223372036854775808", "-9223372036854775808");
  check_refused (obj, "i64", "9223372036854775808", "Parameter 'i64' expects int64_t");
  check_set (obj, "size", "1.5M", "1572864");
  check_refused (obj, "size", "5Q", "Parameter 'size' expects size");
  check_refused (obj, "size", "-1", "Parameter 'size' expects size");
  check_set (obj, "name", "", "");
  check_set (obj, "name", "x,y", "x,y");
  check_set (obj, "mode", "off", "off");
  check_refused (obj, "mode", "foo", "Parameter 'mode' does not accept value 'foo'");
  check_set (obj, "color", "blue", "blue");
  check_refused (obj, "color", "", "Parameter 'color' does not accept value ''");
  check_set (obj, "upper", "xyz", "XYZ");
  check_refused (obj, "upper", "bad", "Property 'thing.upper' doesn't take value 'bad'");
  check_set (obj, "reg", "200", "200");
  check_refused (obj, "zork", "1", "Property 'thing.zork' not found");
  check_refused (obj, "fixed", "1", "Property 'thing.fixed' is not writable");
  vm_object_set_uint (obj, "bit31", 1);
  vm_object_set_uint (obj, "u16", 99);
  vm_object_set_str (obj, "color", "red");
  check_get (obj, "bit31", "on");
  check_get (obj, "u16", "99");
  check_get (obj, "color", "red");
}

static void
test_frozen (void)
{
  g_autoptr (VmObject) obj = vm_object_new (&thing_type);

  vm_object_set_id (obj, "n");
  check_set (obj, "i64", "1", "1");
  g_assert_cmpuint (((Thing *) obj)->changes, ==, 0);
  obj->frozen = true;
  check_refused (obj, "u8", "4",
                 "Attempt to set property 'u8' on device 'n' (type 'thing') after it was realized");
  check_set (obj, "i64", "2", "2");
  g_assert_cmpuint (((Thing *) obj)->changes, ==, 1);
}

static void
add (VmObject *parent, const char *id, const VmType *type)
{
  g_autoptr (VmObject) obj = vm_object_new (type);

  vm_object_add_child (parent, id, obj);
}

static void
test_tree (void)
{
  g_autoptr (VmObject) root = vm_object_new (&vm_container_type);
  VmObject *peripheral = vm_object_container (root, "machine/peripheral");

  g_assert_true (vm_object_container (root, "/machine/peripheral/") == peripheral);
  add (peripheral, "net0", &thing_type);
  add (peripheral, NULL, &thing_type);
  add (peripheral, NULL, &thing_type);
  VmObject *net0 = vm_object_resolve (root, "/machine/peripheral/net0");
  g_assert_nonnull (net0);
  g_autofree char *path = vm_object_path (net0);
  g_assert_cmpstr (path, ==, "/machine/peripheral/net0");
  g_autofree char *root_path = vm_object_path (root);
  g_assert_cmpstr (root_path, ==, "/");
  g_assert_true (vm_object_resolve (root, "/") == root);
  g_assert_true (vm_object_resolve (root, "net0") == net0);
  g_assert_true (vm_object_resolve (root, "peripheral/net0") == net0);
  g_assert_nonnull (vm_object_resolve (root, "thing[1]"));
  g_assert_null (vm_object_resolve (root, "/net0"));
  g_assert_null (vm_object_resolve (root, ""));
  add (vm_object_container (root, "objects"), "net0", &child_type);
  g_assert_null (vm_object_resolve (root, "net0")); /* ambiguous */
  g_assert_true (vm_object_root (net0) == root);

  /* Links. */
  VmObject *other = vm_object_resolve (root, "/objects/net0");
  check_set (other, "peer", "/machine/peripheral/net0", "/machine/peripheral/net0");
  check_refused (other, "peer", "nosuch", "Device 'nosuch' not found");
  check_refused (other, "peer", "/machine", "Invalid parameter type for 'peer', expected: thing");
  vm_object_remove_child (net0); /* the link keeps it */
  g_assert_cmpint (net0->refs, ==, 1);
  check_set (other, "peer", "", "");

  g_autoptr (VmObject) loose = vm_object_new (&thing_type);
  check_refused (loose, "peer", "thing[0]", "Device 'thing[0]' not found");
  loose->scope = root;
  check_set (loose, "peer", "thing[0]", "/machine/peripheral/thing[0]");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/object/types", test_types);
  g_test_add_func ("/object/defaults", test_defaults);
  g_test_add_func ("/object/big-is-lazy", test_big_is_lazy);
  g_test_add_func ("/object/set", test_set);
  g_test_add_func ("/object/frozen", test_frozen);
  g_test_add_func ("/object/tree", test_tree);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of "info qtree": system devices and, below each device, its properties and buses. */
#include "engine/bus/device.h"

#include <inttypes.h>

typedef struct Printer {
  GString  *text;
  VmObject *obj;
  int       indent;
} Printer;

static void
print_line (GString *text, int indent, const char *format, ...) G_GNUC_PRINTF (3, 4);

static void
print_line (GString *text, int indent, const char *format, ...)
{
  va_list args;

  g_string_append_printf (text, "%*s", indent, "");
  va_start (args, format);
  g_string_append_vprintf (text, format, args);
  va_end (args);
  g_string_append_c (text, '\n');
}

/* 2147483648 -> "2 GiB" */
static char *
human_size (uint64_t bytes)
{
  static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  double value = bytes;
  unsigned unit = 0;

  while (value >= 1000 && unit + 1 < G_N_ELEMENTS (units))
    {
      value /= 1024;
      unit++;
    }
  return g_strdup_printf ("%.3g %s", value, units[unit]);
}

static char *
value_text (VmObject *obj, const VmProp *prop, const void *field)
{
  g_autofree char *text = vm_object_get (obj, prop->name, NULL);

  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return g_strdup (vm_prop_number (prop, field) ? "true" : "false");
    case VM_PROP_SIZE:
      {
        g_autofree char *human = human_size (vm_prop_number (prop, field));
        return g_strdup_printf ("%s (%s)", text, human);
      }
    case VM_PROP_U8: case VM_PROP_U16: case VM_PROP_U32: case VM_PROP_U64:
    case VM_PROP_I32: case VM_PROP_I64:
      return g_strdup_printf ("%s (0x%" PRIx64 ")", text, vm_prop_number (prop, field));
    case VM_PROP_CUSTOM:
      if (strstr (prop->custom->type_name, "int"))
        return g_steal_pointer (&text);
      /* fall through */
    default:
      return g_strdup_printf ("\"%s\"", text);
    }
}

static bool
print_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  Printer *printer = opaque;

  /* A parent's that the child has replaced was printed with the child's. */
  if (vm_type_find_prop (printer->obj->type, prop->name, NULL) != prop)
    return true;
  g_autofree char *value = value_text (printer->obj, prop, (char *) printer->obj + offset);
  print_line (printer->text, printer->indent, "%s = %s", prop->name, value);
  return true;
}

static void print_bus (GString *text, int indent, VmBus *bus);

static void
print_lines (GString *text, int indent, const char *lines)
{
  g_auto (GStrv) each = g_strsplit (lines, "\n", -1);

  for (char **line = each; *line; line++)
    if (**line)
      print_line (text, indent, "%s", *line);
}

static void
print_device (GString *text, int indent, VmDevice *dev)
{
  const char *id = vm_device_user_id (dev);
  Printer printer = { text, &dev->parent, indent + 2 };

  print_line (text, indent, "dev: %s, id \"%s\"", dev->parent.type->name, id ? id : "");
  for (const VmType *type = dev->parent.type; type; type = type->parent)
    vm_type_foreach_own_prop (type, print_prop, &printer);
  if (dev->bus && dev->bus->describe)
    {
      g_autofree char *lines = dev->bus->describe (dev->bus, dev);

      if (lines)
        print_lines (text, indent + 2, lines);
    }
  for (guint i = dev->buses ? dev->buses->len : 0; i-- > 0;)
    print_bus (text, indent + 2, g_ptr_array_index (dev->buses, i));
}

static void
print_bus (GString *text, int indent, VmBus *bus)
{
  print_line (text, indent, "bus: %s", bus->name);
  print_line (text, indent + 2, "type %s", bus->type_name);
  for (guint i = bus->devices->len; i-- > 0;)
    print_device (text, indent + 2, g_ptr_array_index (bus->devices, i));
}

static bool
collect_system_device (VmDevice *dev, void *opaque)
{
  if (!dev->bus)
    g_ptr_array_add (opaque, dev);
  return true;
}

char *
vm_device_describe_tree (VmEnv *env)
{
  GString *text = g_string_new ("bus: main-system-bus\n  type System\n");
  g_autoptr (GPtrArray) system = g_ptr_array_new ();

  vm_device_foreach (env->root, collect_system_device, system);
  for (guint i = system->len; i-- > 0;)
    print_device (text, 2, g_ptr_array_index (system, i));
  return g_string_free (text, FALSE);
}

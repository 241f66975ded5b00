/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Help values: the lists that "-machine help", "-device X,help" and the like print. */
#include "config.h"

#include "app/app.h"
#include "audio/audio.h"
#include "block/node.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"
#include "engine/char/char.h"
#include "engine/machine/user-object.h"
#include "engine/options/options.h"
#include "engine/x86/model.h"
#include "net/net.h"

#include <stdio.h>

static void
print_board (const VmBoard *b, const char *name, const char *note)
{
  printf ("%-20s %s%s%s\n", name, b->desc, note, b->deprecated ? " (deprecated)" : "");
}

static gint
compare_boards (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(VmBoard *const *) a)->name, (*(VmBoard *const *) b)->name);
}

static void
print_machines (const VmBoard *const *boards)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();

  for (; *boards; boards++)
    g_ptr_array_add (list, (gpointer) *boards);
  g_ptr_array_sort (list, compare_boards);
  puts ("Supported machines are:");
  for (guint i = 0; i < list->len; i++)
    {
      const VmBoard *b = g_ptr_array_index (list, i);
      if (b->alias)
        {
          g_autofree char *note = g_strdup_printf (" (alias of %s)", b->name);
          print_board (b, b->alias, note);
        }
      print_board (b, b->name, b->is_default ? " (default)" : "");
    }
}

/* --- properties --- */

static bool
add_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  if (!(prop->flags & VM_PROP_HIDDEN))
    g_ptr_array_add (opaque, (gpointer) prop);
  return true;
}

static gint
compare_props (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(VmProp *const *) a)->name, (*(VmProp *const *) b)->name);
}

static char *
default_text (const VmProp *prop)
{
  static const char *const auto_names[] = { "auto", "on", "off" };

  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return g_strdup (prop->def ? "true" : "false");
    case VM_PROP_U8:
    case VM_PROP_U16:
    case VM_PROP_U32:
    case VM_PROP_U64:
    case VM_PROP_SIZE:
      return g_strdup_printf ("%" G_GUINT64_FORMAT,
                              prop->width < 8 ? prop->def & VM_MASK (prop->width * 8 - 1, 0) : prop->def);
    case VM_PROP_I32:
      return g_strdup_printf ("%d", (int32_t) prop->def);
    case VM_PROP_I64:
      return g_strdup_printf ("%" G_GINT64_FORMAT, (gint64) prop->def);
    case VM_PROP_ONOFFAUTO:
      return g_strdup_printf ("\"%s\"", auto_names[prop->def % 3]);
    case VM_PROP_ENUM:
      return g_strdup_printf ("\"%s\"", prop->names[prop->def]);
    case VM_PROP_STR:
    case VM_PROP_CUSTOM:
      return prop->def ? g_strdup_printf ("\"%s\"", (const char *) (uintptr_t) prop->def) : NULL;
    default:
      return NULL;
    }
}

static void
print_props (const char *title, const VmType *type)
{
  g_autoptr (GPtrArray) props = g_ptr_array_new ();

  vm_type_foreach_prop (type, add_prop, props);
  g_ptr_array_sort (props, compare_props);
  if (!props->len)
    {
      printf ("There are no options for %s.\n", title);
      return;
    }
  printf ("%s options:\n", title);
  for (guint i = 0; i < props->len; i++)
    {
      const VmProp *prop = g_ptr_array_index (props, i);
      g_autofree char *head = g_strdup_printf ("  %s=<%s>", prop->name, vm_prop_type_name (prop));
      g_autofree char *def = default_text (prop);
      printf ("%-24s - %s", head, prop->help ? prop->help : "");
      if (def)
        printf (" (default: %s)", def);
      putchar ('\n');
    }
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
print_formats (void)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (guint i = 0; vm_block_drivers[i]; i++)
    g_ptr_array_add (names, (char *) (uintptr_t) vm_block_drivers[i]->name);
  g_ptr_array_sort (names, compare_names);
  fputs ("Supported formats:", stdout);
  for (guint i = 0; i < names->len; i++)
    printf (" %s", (char *) g_ptr_array_index (names, i));
  puts ("");
}

/* --- devices and objects --- */

static void
add_type (const VmType *type, void *opaque)
{
  if (!type->abstract)
    g_ptr_array_add (opaque, (gpointer) type);
}

static const char *
category_of (const VmType *type)
{
  const VmDeviceClass *klass = vm_type_klass (type);

  return klass && klass->category ? klass->category : "Uncategorized";
}

static gint
compare_devices (gconstpointer a, gconstpointer b)
{
  const VmType *x = *(const VmType *const *) a, *y = *(const VmType *const *) b;
  int order = strcmp (category_of (x), category_of (y));

  return order ? order : strcmp (x->name, y->name);
}

static void
print_devices (const VmTypeList *types)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  const char *category = "";

  vm_type_foreach (types, &vm_device_type, add_type, list);
  g_ptr_array_sort (list, compare_devices);
  for (guint i = 0; i < list->len; i++)
    {
      const VmType *type = g_ptr_array_index (list, i);
      const VmDeviceClass *klass = vm_type_klass (type);
      const char *bus = vm_device_bus_type (type);
      if (!klass || !klass->user_creatable)
        continue;
      if (strcmp (category, category_of (type)) != 0)
        printf ("%s%s devices:\n", *category ? "\n" : "", category_of (type));
      category = category_of (type);
      const char *desc = type->help && *type->help ? type->help : NULL;
      printf ("name \"%s\"%s%s%s%s%s\n", type->name, bus ? ", bus " : "", bus ? bus : "", desc ? ", desc \"" : "",
              desc ? desc : "", desc ? "\"" : "");
    }
}

/* What -nic model= takes: network cards for the bus that most machines have. */
static void
print_nic_models (const VmTypeList *types)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();

  vm_type_foreach (types, &vm_device_type, add_type, list);
  g_ptr_array_sort (list, compare_devices);
  puts ("Supported NIC models:");
  for (guint i = 0; i < list->len; i++)
    {
      const VmType *type = g_ptr_array_index (list, i);
      const VmDeviceClass *klass = vm_type_klass (type);
      if (klass && klass->user_creatable && !strcmp (category_of (type), "Network")
          && !g_strcmp0 (vm_device_bus_type (type), "PCI"))
        puts (type->name);
    }
}

static void
print_sound_models (const VmTypeList *types)
{
  puts ("Valid sound card names (comma separated):");
  for (const VmSoundModel *model = vm_sound_models; model->name; model++)
    if (vm_type_find (types, model->driver))
      printf ("%-11s %s\n", model->name, model->help);
}

static void
print_objects (const VmTypeList *types)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();

  vm_type_foreach (types, &vm_user_object_type, add_type, list);
  puts ("List of user creatable objects:");
  for (guint i = 0; i < list->len; i++)
    printf ("  %s\n", ((const VmType *) g_ptr_array_index (list, i))->name);
}

static int
print_type (const VmTypeList *types, const char *name, const VmType *family, const char *option)
{
  const VmType *type = vm_type_find (types, name);

  if (!type || !vm_type_is_a (type, family))
    {
      vm_report_error ("%s %s,help: '%s' is not a valid %s", option, name, name,
                       family == &vm_device_type ? "device model name" : "object type");
      return 1;
    }
  print_props (name, type);
  return 0;
}

/* --- short ones --- */

static void
print_vga (void)
{
  puts ("none                 no graphic card\nstd                  standard VGA (default)\n"
        "cirrus               Cirrus VGA\nvmware               VMWare SVGA\nqxl                  QXL VGA\n"
        "virtio               Virtio VGA");
}

static void
print_data_dirs (const VmSettings *settings)
{
  for (guint i = 0; i < settings->data_dirs->len; i++)
    puts (g_ptr_array_index (settings->data_dirs, i));
  printf ("%s\n/usr/share/qemu\n/usr/share/seabios\n/usr/share/vgabios\n/usr/lib/ipxe/qemu\n/usr/share/OVMF\n",
          VM_DATADIR);
}

static void
print_accels (void)
{
  puts ("Accelerators supported in QEMU binary:");
  for (const VmAccelOps *const *a = app_accels; *a; a++)
    puts ((*a)->name);
}

static int
print_machine_options (const VmBoard *const *boards, const char *name)
{
  const VmBoard *board = vm_board_find (boards, name);

  if (!board)
    {
      vm_report_error ("unsupported machine type\nUse -machine help to list supported machines");
      return 1;
    }
  g_autofree char *title = g_strdup_printf ("%s-machine", board->name);
  print_props (title, board->type);
  return 0;
}

int
app_print_list (const VmSettings *settings, const VmTypeList *types, const VmBoard *const *boards)
{
  const char *topic = settings->help_topic, *argument = settings->help_argument;

  if (!strcmp (topic, "machine") && argument)
    return print_machine_options (boards, argument);
  if (!strcmp (topic, "device") && argument)
    return print_type (types, argument, &vm_device_type, "-device");
  if (!strcmp (topic, "object") && argument)
    return print_type (types, argument, &vm_user_object_type, "-object");
  if (!strcmp (topic, "machine"))
    print_machines (boards);
  else if (!strcmp (topic, "device"))
    print_devices (types);
  else if (!strcmp (topic, "object"))
    print_objects (types);
  else if (!strcmp (topic, "cpu"))
    {
      g_autofree char *text = vm_x86_cpu_help ();
      fputs (text, stdout);
    }
  else if (!strcmp (topic, "accel"))
    print_accels ();
  else if (!strcmp (topic, "vga"))
    print_vga ();
  else if (!strcmp (topic, "L"))
    print_data_dirs (settings);
  else if (!strcmp (topic, "display"))
    puts ("Available display backend types:\nnone\ngtk");
  else if (!strcmp (topic, "chardev"))
    {
      puts ("Available chardev backend types: ");
      for (const char *const *name = vm_chardev_backends (); *name; name++)
        printf ("  %s\n", *name);
    }
  else if (!strcmp (topic, "drive-format"))
    print_formats ();
  else if (!strcmp (topic, "audiodev"))
    {
      g_autofree char *drivers = vm_audio_drivers ();
      printf ("Available audio drivers:\n%s", drivers);
    }
  else if (!strcmp (topic, "audio-model"))
    print_sound_models (types);
  else if (!strcmp (topic, "tpmdev"))
    {
      puts ("Supported TPM types (choose only one):\n passthrough   Passthrough TPM backend driver\n"
            "    emulator   TPM emulator backend driver");
      return 1;
    }
  else if (!strcmp (topic, "nic-model"))
    print_nic_models (types);
  else if (!strcmp (topic, "netdev"))
    {
      g_autofree char *kinds = vm_netdev_kinds ();
      printf ("Available netdev backend types:\n%s", kinds);
    }
  else if (!strcmp (topic, "d"))
    {
      g_autofree char *text = vm_log_describe_items ("-d");
      fputs (text, stdout);
      return 1;
    }
  else if (!strcmp (topic, "trace"))
    vm_trace_print ();
  else
    { /* "keys" and, with exit status 1, "keys!" */
      printf ("%s options:\n", argument);
      vm_options_print_keys (argument);
      return topic[strlen (topic) - 1] == '!' ? 1 : 0;
    }
  return 0;
}

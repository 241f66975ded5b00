/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The human monitor: what could stand where the cursor is. */
#include "engine/monitor/hmp.h"

typedef struct Collect
{
  GStrvBuilder *out;
  const char *start;
} Collect;

static void
collect (Collect *c, const char *name)
{
  if (name && g_str_has_prefix (name, c->start))
    g_strv_builder_add (c->out, name);
}

/* --- names the program knows --- */

static char **
names_of (const VmHmpCommand *table, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  Collect c = { out, start };

  for (; table->name; table++)
    {
      g_auto (GStrv) names = g_strsplit (table->name, "|", -1);
      for (char **n = names; *n; n++)
        collect (&c, *n);
    }
  return g_strv_builder_end (out);
}

char **
vm_complete_command (VmMonitor *mon, unsigned n, const char *start)
{
  return names_of (vm_hmp_commands, start);
}

char **
vm_complete_info (VmMonitor *mon, unsigned n, const char *start)
{
  return names_of (vm_hmp_info_commands, start);
}

static char **
list_of (const char *const *names, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  Collect c = { out, start };

  for (; *names; names++)
    collect (&c, *names);
  return g_strv_builder_end (out);
}

static char **
nothing (void)
{
  return g_new0 (char *, 1);
}

/* Values of the enum that argument MEMBER of a QMP command has. */
static const VmSchemaType *
type_of_argument (const char *command, const char *member)
{
  const VmSchemaCommand *c = vm_schema_find_command (command);

  for (const VmSchemaMember *m = c->arguments->members; m->name; m++)
    if (!strcmp (m->name, member))
      return m->type;
  return NULL;
}

char **
vm_complete_watchdog (VmMonitor *mon, unsigned n, const char *start)
{
  return n ? nothing () : list_of (type_of_argument ("watchdog-set-action", "action")->names, start);
}

char **
vm_complete_capability (VmMonitor *mon, unsigned n, const char *start)
{
  static const char *const states[] = { "on", "off", NULL };
  const VmSchemaType *list = type_of_argument ("migrate-set-capabilities", "capabilities");

  return list_of (n ? states : list->element->members[0].type->names, start);
}

char **
vm_complete_chardev_kind (VmMonitor *mon, unsigned n, const char *start)
{
  return list_of (vm_chardev_backends (), start);
}

/* The key after the last "-" of a chord. */
char **
vm_complete_key (VmMonitor *mon, unsigned n, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  const char *dash = strrchr (start, '-');
  g_autofree char *head = g_strndup (start, dash ? dash + 1 - start : 0);
  const VmSchemaType *key = type_of_argument ("send-key", "keys")->element->variants[1]->members[0].type;

  for (const char *const *name = key->names; *name; name++)
    if (g_str_has_prefix (*name, dash ? dash + 1 : start))
      {
        g_autofree char *chord = g_strconcat (head, *name, NULL);
        g_strv_builder_add (out, chord);
      }
  return g_strv_builder_end (out);
}

/* --- types --- */

static void
collect_device_type (const VmType *type, void *opaque)
{
  const VmDeviceClass *klass = vm_type_klass (type);

  if (!type->abstract && klass && klass->user_creatable)
    collect (opaque, type->name);
}

static void
collect_type (const VmType *type, void *opaque)
{
  if (!type->abstract)
    collect (opaque, type->name);
}

static char **
types_of (VmMonitor *mon, const VmType *family, void (*func) (const VmType *type, void *opaque), const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  Collect c = { out, start };

  if (family)
    vm_type_foreach (mon->machine->types, family, func, &c);
  return g_strv_builder_end (out);
}

char **
vm_complete_device_type (VmMonitor *mon, unsigned n, const char *start)
{
  return types_of (mon, &vm_device_type, collect_device_type, start);
}

char **
vm_complete_object_type (VmMonitor *mon, unsigned n, const char *start)
{
  return types_of (mon, vm_type_find (mon->machine->types, "user-creatable"), collect_type, start);
}

/* --- what the machine has --- */

static void
collect_chardev (VmChardev *chr, void *opaque)
{
  collect (opaque, vm_chardev_id (chr));
}

char **
vm_complete_chardev (VmMonitor *mon, unsigned n, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  Collect c = { out, start };

  if (n == 0)
    vm_chardev_foreach (mon->machine->env.root, collect_chardev, &c);
  return g_strv_builder_end (out);
}

static char **
children_of (const VmObject *folder, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  Collect c = { out, start };

  for (guint i = 0; folder && folder->children && i < folder->children->len; i++)
    collect (&c, ((const VmObject *) g_ptr_array_index (folder->children, i))->id);
  return g_strv_builder_end (out);
}

char **
vm_complete_device (VmMonitor *mon, unsigned n, const char *start)
{
  return children_of (mon->machine->peripheral, start);
}

char **
vm_complete_object (VmMonitor *mon, unsigned n, const char *start)
{
  return children_of (mon->machine->objects, start);
}

char **
vm_complete_drive (VmMonitor *mon, unsigned n, const char *start)
{
  return n ? nothing () : children_of (vm_object_child (mon->machine->env.root, "drives"), start);
}

static bool
collect_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  collect (opaque, prop->name);
  return true;
}

/* A path as far as the last "/"; then the properties of what it names. */
char **
vm_complete_path (VmMonitor *mon, unsigned n, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  const char *slash = strrchr (start, '/');
  g_autofree char *head = g_strndup (start, slash ? slash + 1 - start : 0);
  const VmObject *obj = n == 0 && slash ? vm_object_resolve (mon->machine->env.root, head) : NULL;

  for (guint i = 0; obj && obj->children && i < obj->children->len; i++)
    {
      const VmObject *child = g_ptr_array_index (obj->children, i);
      g_autofree char *path = g_strconcat (head, child->id, NULL);
      if (g_str_has_prefix (path, start))
        g_strv_builder_add (out, path);
    }
  if (n == 1)
    {
      Collect c = { out, start };
      collect_prop (&(VmProp){ .name = "type" }, 0, &c);
    }
  return g_strv_builder_end (out);
}

/* --- files --- */

static char **
complete_file (const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  const char *slash = strrchr (start, '/');
  g_autofree char *head = g_strndup (start, slash ? slash + 1 - start : 0);
  const char *tail = start + strlen (head);
  GDir *dir = g_dir_open (*head ? head : ".", 0, NULL);

  for (const char *name; dir && (name = g_dir_read_name (dir));)
    {
      if (!g_str_has_prefix (name, tail) || (*name == '.' && *tail != '.'))
        continue;
      g_autofree char *path = g_strconcat (head, name, NULL);
      g_autofree char *folder = g_strconcat (path, "/", NULL);
      g_strv_builder_add (out, g_file_test (path, G_FILE_TEST_IS_DIR) ? folder : path);
    }
  if (dir)
    g_dir_close (dir);
  return g_strv_builder_end (out);
}

/* --- all --- */

/* Kind of argument N of a specification, flags left out; 0: there is none. */
static char
kind_of_argument (const char *spec, unsigned n)
{
  g_auto (GStrv) items = g_strsplit (spec, " ", -1);

  for (char **item = items; *item && **item; item++)
    {
      char kind = strchr (*item, ':')[1];
      if (kind != '-' && kind != '/' && n-- == 0)
        return kind;
    }
  return 0;
}

char **
vm_hmp_complete (VmMonitor *mon, const char *text, size_t *word)
{
  const VmHmpCommand *table = vm_hmp_commands, *command = NULL;
  size_t start = strlen (text);

  while (start && !g_ascii_isspace (text[start - 1]))
    start--;
  *word = start;
  g_autofree char *before = g_strndup (text, start);
  g_auto (GStrv) words = g_strsplit_set (before, " \t", -1);
  unsigned n = 0;
  for (char **w = words; *w; w++)
    {
      if (!**w || (command && **w == '-') || (command && **w == '/'))
        continue;
      if (command && command->func == vm_hmp_info && table == vm_hmp_commands)
        table = vm_hmp_info_commands;
      else if (command)
        {
          n++;
          continue;
        }
      command = vm_hmp_find (table, *w);
      if (!command)
        return nothing ();
    }
  if (!command)
    return vm_complete_command (mon, 0, text + start);
  if (command->func == vm_hmp_help)
    return n == 1 ? vm_complete_info (mon, 0, text + start) : vm_complete_command (mon, 0, text + start);
  if (kind_of_argument (command->spec, n) == 'F')
    return complete_file (text + start);
  return command->complete ? command->complete (mon, n, text + start) : nothing ();
}

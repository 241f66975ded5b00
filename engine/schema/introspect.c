/* SPDX-License-Identifier: GPL-3.0-or-later */
/* query-qmp-schema: the schema in the form that clients examine. */
#include "engine/schema/schema.h"

static const char *const json_kinds[] = {
  [VM_SCHEMA_STR] = "string",    [VM_SCHEMA_INT] = "int",      [VM_SCHEMA_SIZE] = "int",
  [VM_SCHEMA_NUMBER] = "number", [VM_SCHEMA_BOOL] = "boolean", [VM_SCHEMA_ANY] = "value",
};

static const VmSchemaMember no_members[] = { { 0 } };
static const VmSchemaType nothing = { .name = "empty", .kind = VM_SCHEMA_STRUCT, .members = no_members };

typedef struct Walk
{
  json_object *out;
  GHashTable *seen; /* names of types already described */
  const VmCompatPolicy *policy;
} Walk;

static json_object *
new_entry (const char *name, const char *meta_type)
{
  json_object *entry = json_object_new_object ();

  json_object_object_add (entry, "name", json_object_new_string (name));
  json_object_object_add (entry, "meta-type", json_object_new_string (meta_type));
  return entry;
}

/* Sizes are plain integers on the wire. */
static const char *
public_name (const VmSchemaType *type)
{
  return type->kind == VM_SCHEMA_SIZE ? "int" : type->name;
}

static void
add_features (json_object *entry, const char *const *features)
{
  json_object *list;

  if (!features[0])
    return;
  list = json_object_new_array ();
  for (; *features; features++)
    json_object_array_add (list, json_object_new_string (*features));
  json_object_object_add (entry, "features", list);
}

/* Of members and events, which have none but these. */
static void
add_flags (json_object *entry, uint32_t flags)
{
  const char *const deprecated[] = { "deprecated", NULL }, *const unstable[] = { "unstable", NULL };

  if (flags & (VM_SCHEMA_DEPRECATED | VM_SCHEMA_UNSTABLE))
    add_features (entry, flags & VM_SCHEMA_DEPRECATED ? deprecated : unstable);
}

static void describe (Walk *w, const VmSchemaType *type);

static void
describe_enum (Walk *w, const VmSchemaType *type)
{
  json_object *entry = new_entry (type->name, "enum");
  json_object *values = json_object_new_array (), *members = json_object_new_array ();

  for (int i = 0; type->names[i]; i++)
    {
      json_object *member = json_object_new_object ();
      json_object_object_add (member, "name", json_object_new_string (type->names[i]));
      json_object_array_add (members, member);
      json_object_array_add (values, json_object_new_string (type->names[i]));
    }
  json_object_object_add (entry, "members", members);
  /* The older form of the same. */
  if (vm_schema_is_hidden (w->policy, VM_SCHEMA_DEPRECATED))
    json_object_put (values);
  else
    json_object_object_add (entry, "values", values);
  json_object_array_add (w->out, entry);
}

static json_object *
describe_members (Walk *w, const VmSchemaType *type)
{
  json_object *members = json_object_new_array ();

  for (const VmSchemaMember *m = type->members; m->name; m++)
    {
      if (!*m->name || vm_schema_is_hidden (w->policy, m->flags))
        continue;
      json_object *member = json_object_new_object ();
      json_object_object_add (member, "name", json_object_new_string (m->name));
      json_object_object_add (member, "type", json_object_new_string (public_name (m->type)));
      if (m->optional)
        json_object_object_add (member, "default", NULL);
      add_flags (member, m->flags);
      json_object_array_add (members, member);
      describe (w, m->type);
    }
  return members;
}

static void
add_variant (json_object *variants, const char *name, const char *type)
{
  json_object *variant = json_object_new_object ();

  json_object_object_add (variant, "case", json_object_new_string (name));
  json_object_object_add (variant, "type", json_object_new_string (type));
  json_object_array_add (variants, variant);
}

static json_object *
describe_variants (Walk *w, const VmSchemaType *type, const VmSchemaType *tag_type)
{
  json_object *variants = json_object_new_array ();

  for (int i = 0; tag_type->names[i]; i++)
    {
      const VmSchemaType *more = type->variants[i] ? type->variants[i] : &nothing;
      add_variant (variants, tag_type->names[i], more->name);
      describe (w, more);
    }
  return variants;
}

static void
describe_struct (Walk *w, const VmSchemaType *type)
{
  json_object *entry = new_entry (type->name, "object");

  json_object_array_add (w->out, entry);
  json_object_object_add (entry, "members", describe_members (w, type));
  if (!type->tag)
    return;
  for (const VmSchemaMember *m = type->members; m->name; m++)
    if (!strcmp (m->name, type->tag))
      json_object_object_add (entry, "variants", describe_variants (w, type, m->type));
  json_object_object_add (entry, "tag", json_object_new_string (type->tag));
}

static void
describe_alternate (Walk *w, const VmSchemaType *type)
{
  json_object *entry = new_entry (type->name, "alternate"), *members = json_object_new_array ();

  for (const VmSchemaType *const *t = type->variants; *t; t++)
    {
      json_object *member = json_object_new_object ();
      json_object_object_add (member, "type", json_object_new_string (public_name (*t)));
      json_object_array_add (members, member);
    }
  json_object_object_add (entry, "members", members);
  json_object_array_add (w->out, entry);
  for (const VmSchemaType *const *t = type->variants; *t; t++)
    describe (w, *t);
}

static void
describe (Walk *w, const VmSchemaType *type)
{
  json_object *entry;

  if (!g_hash_table_add (w->seen, (gpointer) public_name (type)))
    return;
  switch (type->kind)
    {
    case VM_SCHEMA_ENUM:
      describe_enum (w, type);
      break;
    case VM_SCHEMA_STRUCT:
      describe_struct (w, type);
      break;
    case VM_SCHEMA_LIST:
      entry = new_entry (type->name, "array");
      json_object_object_add (entry, "element-type", json_object_new_string (public_name (type->element)));
      json_object_array_add (w->out, entry);
      describe (w, type->element);
      break;
    case VM_SCHEMA_ANY:
      if (type->variants)
        {
          describe_alternate (w, type);
          break;
        }
      G_GNUC_FALLTHROUGH;
    default:
      entry = new_entry (public_name (type), "builtin");
      json_object_object_add (entry, "json-type",
                              json_object_new_string (type == &vm_schema_null ? "null" : json_kinds[type->kind]));
      json_object_array_add (w->out, entry);
    }
}

/* --- arguments that are properties of a type --- */

static const VmSchemaType *
type_of_prop (const VmProp *prop)
{
  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return &vm_schema_bool;
    case VM_PROP_U8:
    case VM_PROP_U16:
    case VM_PROP_U32:
    case VM_PROP_U64:
    case VM_PROP_I32:
    case VM_PROP_I64:
    case VM_PROP_SIZE:
      return &vm_schema_int;
    default:
      return &vm_schema_str;
    }
}

typedef struct Family
{
  Walk *walk;
  json_object *names, *values, *variants, *members;
} Family;

static bool
add_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  Family *f = opaque;
  const VmSchemaType *type = type_of_prop (prop);
  json_object *member;

  if (prop->flags & (VM_PROP_HIDDEN | VM_PROP_READONLY))
    return true;
  member = json_object_new_object ();
  json_object_object_add (member, "name", json_object_new_string (prop->name));
  json_object_object_add (member, "type", json_object_new_string (type->name));
  json_object_object_add (member, "default", NULL);
  json_object_array_add (f->members, member);
  describe (f->walk, type);
  return true;
}

static void
add_type (const VmType *type, void *opaque)
{
  Family *f = opaque;
  g_autofree char *name = g_strdup_printf ("%s-properties", type->name);
  json_object *entry, *value;

  if (type->abstract)
    return;
  value = json_object_new_object ();
  json_object_object_add (value, "name", json_object_new_string (type->name));
  json_object_array_add (f->names, value);
  json_object_array_add (f->values, json_object_new_string (type->name));
  add_variant (f->variants, type->name, name);
  entry = new_entry (name, "object");
  f->members = json_object_new_array ();
  vm_type_foreach_prop (type, add_prop, f);
  json_object_object_add (entry, "members", f->members);
  json_object_array_add (f->walk->out, entry);
}

/* The first named member selects the type; each type is a variant. */
static void
describe_family (Walk *w, const VmSchemaCommand *command, const VmTypeList *types)
{
  const VmSchemaMember *tag = command->arguments->members;
  g_autofree char *enum_name = g_strdup_printf ("%s-names", command->family);
  Family f = { .walk = w,
               .names = json_object_new_array (),
               .values = json_object_new_array (),
               .variants = json_object_new_array () };
  json_object *entry = new_entry (command->arguments->name, "object"), *names = new_entry (enum_name, "enum");
  json_object *members = describe_members (w, command->arguments);

  json_object_object_add (json_object_array_get_idx (members, 0), "type", json_object_new_string (enum_name));
  vm_type_foreach (types, vm_type_find (types, command->family), add_type, &f);
  json_object_object_add (names, "members", f.names);
  if (vm_schema_is_hidden (w->policy, VM_SCHEMA_DEPRECATED))
    json_object_put (f.values);
  else
    json_object_object_add (names, "values", f.values);
  json_object_object_add (entry, "members", members);
  json_object_object_add (entry, "tag", json_object_new_string (tag->name));
  json_object_object_add (entry, "variants", f.variants);
  json_object_array_add (w->out, names);
  json_object_array_add (w->out, entry);
}

/* --- all --- */

static void
describe_command (Walk *w, const VmSchemaCommand *c, const VmTypeList *types)
{
  const VmSchemaType *args = c->arguments ? c->arguments : &nothing;
  const VmSchemaType *returns = c->returns ? c->returns : &nothing;
  json_object *entry = new_entry (c->name, "command");

  json_object_object_add (entry, "arg-type", json_object_new_string (args->name));
  json_object_object_add (entry, "ret-type", json_object_new_string (public_name (returns)));
  if (c->flags & VM_SCHEMA_OOB)
    json_object_object_add (entry, "allow-oob", json_object_new_boolean (true));
  add_features (entry, c->features);
  json_object_array_add (w->out, entry);
  if (c->family && types)
    describe_family (w, c, types);
  else
    describe (w, args);
  describe (w, returns);
}

json_object *
vm_schema_introspect (const VmTypeList *types, const VmCompatPolicy *policy)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  Walk w = { json_object_new_array (), seen, policy };

  for (const VmSchemaCommand *c = vm_schema_commands; c->name; c++)
    if (!vm_schema_is_hidden (policy, c->flags & VM_SCHEMA_DEPRECATED))
      describe_command (&w, c, types);
  for (const VmSchemaEvent *e = vm_schema_events; e->name; e++)
    {
      const VmSchemaType *data = e->data ? e->data : &nothing;
      if (vm_schema_is_hidden (policy, e->flags))
        continue;
      json_object *entry = new_entry (e->name, "event");
      json_object_object_add (entry, "arg-type", json_object_new_string (data->name));
      add_flags (entry, e->flags);
      json_object_array_add (w.out, entry);
      describe (&w, data);
    }
  return w.out;
}

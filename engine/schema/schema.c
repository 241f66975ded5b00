/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads, writes and frees values by the schema's tables. */
#include "engine/schema/schema.h"

#include "engine/base/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

const VmSchemaType vm_schema_str = { .name = "str", .kind = VM_SCHEMA_STR };
const VmSchemaType vm_schema_int = { .name = "int", .kind = VM_SCHEMA_INT };
const VmSchemaType vm_schema_size = { .name = "size", .kind = VM_SCHEMA_SIZE };
const VmSchemaType vm_schema_number = { .name = "number", .kind = VM_SCHEMA_NUMBER };
const VmSchemaType vm_schema_bool = { .name = "bool", .kind = VM_SCHEMA_BOOL };
const VmSchemaType vm_schema_any = { .name = "any", .kind = VM_SCHEMA_ANY };
const VmSchemaType vm_schema_null = { .name = "null", .kind = VM_SCHEMA_ANY };

typedef struct Reader
{
  VmSchemaSource source;
  GString *path; /* "keys[0].data", for messages */
  const VmCompatPolicy *policy; /* NULL: none */
  GError **error;
} Reader;

/* --- policy --- */

static bool
admit (VmCompatInput choice, const char *what, const char *kind, const char *name, GError **error)
{
  if (choice == VM_COMPAT_ACCEPT)
    return true;
  if (choice == VM_COMPAT_CRASH)
    {
      /* What the option is for: a core dump that shows who still uses it. */
      vm_report_error ("%s %s %s disabled by policy", what, kind, name);
      abort ();
    }
  int code = !strcmp (kind, "command") ? VM_ERROR_COMMAND_NOT_FOUND : VM_ERROR_FAILED;
  g_set_error (error, VM_ERROR, code, "%s %s %s disabled by policy", what, kind, name);
  return false;
}

bool
vm_schema_admit (const VmCompatPolicy *policy, uint32_t flags, const char *kind, const char *name, GError **error)
{
  if (!policy)
    return true;
  if ((flags & VM_SCHEMA_DEPRECATED) && !admit (policy->deprecated_input, "Deprecated", kind, name, error))
    return false;
  return !(flags & VM_SCHEMA_UNSTABLE) || admit (policy->unstable_input, "Unstable", kind, name, error);
}

bool
vm_schema_is_hidden (const VmCompatPolicy *policy, uint32_t flags)
{
  return policy
         && ((policy->hide_deprecated && (flags & VM_SCHEMA_DEPRECATED))
             || (policy->hide_unstable && (flags & VM_SCHEMA_UNSTABLE)));
}

/* --- reading --- */

static bool read_value (Reader *r, const VmSchemaType *type, json_object *json, void *field);

static bool
wrong_type (Reader *r, const char *expected)
{
  return vm_fail (r->error, "Invalid parameter type for '%s', expected: %s", r->path->len ? r->path->str : "null",
                  expected);
}

/* True when the text form of a scalar is allowed and JSON is a string. */
static const char *
text_of (Reader *r, json_object *json)
{
  return r->source == VM_SCHEMA_TEXT && json_object_is_type (json, json_type_string) ? json_object_get_string (json)
                                                                                     : NULL;
}

static bool
read_int (Reader *r, json_object *json, int64_t *out)
{
  const char *text = text_of (r, json);

  if (text)
    {
      char *end;
      errno = 0;
      *out = g_ascii_strtoll (text, &end, 0);
      if (errno || end == text || *end)
        return vm_fail (r->error, "Parameter '%s' expects %s", r->path->str,
                        errno == ERANGE ? "a 64-bit number" : "integer");
      return true;
    }
  if (!json_object_is_type (json, json_type_int))
    return wrong_type (r, "integer");
  /* Beyond INT64_MAX the library keeps an unsigned number; asking for a signed one would clamp it. */
  if (json_object_get_int64 (json) == INT64_MAX && json_object_get_uint64 (json) > INT64_MAX)
    return wrong_type (r, "integer");
  *out = json_object_get_int64 (json);
  return true;
}

static bool
read_size (Reader *r, json_object *json, uint64_t *out)
{
  const char *text = text_of (r, json);

  if (text)
    {
      g_autoptr (GError) why = NULL;
      if (vm_parse_size (text, 'B', out, &why))
        return true;
      return vm_fail (r->error,
                      "Parameter '%s' expects a non-negative number below 2^64\n"
                      "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                      "and exabytes, respectively.",
                      r->path->str);
    }
  if (!json_object_is_type (json, json_type_int) || json_object_get_int64 (json) < 0)
    return wrong_type (r, "integer");
  *out = json_object_get_uint64 (json);
  return true;
}

static bool
read_bool (Reader *r, json_object *json, bool *out)
{
  const char *text = text_of (r, json);

  if (text)
    {
      static const char *const yes[] = { "on", "yes", "true", "y", NULL };
      static const char *const no[] = { "off", "no", "false", "n", NULL };
      *out = g_strv_contains (yes, text);
      if (!*out && !g_strv_contains (no, text))
        return vm_fail (r->error, "Parameter '%s' expects 'on' or 'off'", r->path->str);
      return true;
    }
  if (!json_object_is_type (json, json_type_boolean))
    return wrong_type (r, "boolean");
  *out = json_object_get_boolean (json);
  return true;
}

static bool
read_number (Reader *r, json_object *json, double *out)
{
  const char *text = text_of (r, json);

  if (text)
    {
      char *end;
      *out = g_ascii_strtod (text, &end);
      if (end == text || *end || !isfinite (*out))
        return vm_fail (r->error, "Parameter '%s' expects a number", r->path->str);
      return true;
    }
  if (!json_object_is_type (json, json_type_int) && !json_object_is_type (json, json_type_double))
    return wrong_type (r, "number");
  *out = json_object_get_double (json);
  return isfinite (*out) || wrong_type (r, "number");
}

static bool
read_enum (Reader *r, const VmSchemaType *type, json_object *json, int *out)
{
  if (!json_object_is_type (json, json_type_string))
    return wrong_type (r, "string");
  int value = vm_schema_enum_value (type, json_object_get_string (json));
  if (value >= 0)
    {
      *out = value; /* a tag stays a valid one: the union is freed by it */
      return true;
    }
  const char *dot = strrchr (r->path->str, '.'); /* clients expect the member's own name here */
  return vm_fail (r->error, "Parameter '%s' does not accept value '%s'", dot ? dot + 1 : r->path->str,
                  json_object_get_string (json));
}

static bool
list_is_of_numbers (const VmSchemaType *type)
{
  return type->element->kind == VM_SCHEMA_INT || type->element->kind == VM_SCHEMA_ENUM;
}

static void
free_list_elements (const VmSchemaType *type, GPtrArray *list)
{
  for (guint i = 0; i < list->len; i++)
    vm_schema_free (type->element, g_ptr_array_index (list, i));
  g_ptr_array_unref (list);
}

static bool
read_list (Reader *r, const VmSchemaType *type, json_object *json, void **out)
{
  if (!json_object_is_type (json, json_type_array))
    return wrong_type (r, "array");

  size_t n = json_object_array_length (json);
  gsize path_len = r->path->len;
  bool numbers = list_is_of_numbers (type);
  GArray *array
      = numbers ? g_array_new (FALSE, TRUE, type->element->kind == VM_SCHEMA_INT ? sizeof (int64_t) : sizeof (int))
                : NULL;
  GPtrArray *pointers = numbers ? NULL : g_ptr_array_new ();
  bool ok = true;

  for (size_t i = 0; ok && i < n; i++)
    {
      union
      {
        int64_t number;
        int name;
        void *pointer;
      } value = { 0 };
      g_string_append_printf (r->path, "[%zu]", i);
      ok = read_value (r, type->element, json_object_array_get_idx (json, i), &value);
      g_string_truncate (r->path, path_len);
      if (!ok)
        break;
      if (numbers)
        g_array_append_vals (array, &value, 1);
      else
        g_ptr_array_add (pointers, value.pointer);
    }
  if (ok)
    *out = numbers ? (void *) array : (void *) pointers;
  else if (numbers)
    g_array_unref (array);
  else
    free_list_elements (type, pointers);
  return ok;
}

static const VmSchemaMember *
find_member (const VmSchemaType *type, const char *name)
{
  for (const VmSchemaMember *m = type->members; m->name; m++)
    if (!strcmp (m->name, name))
      return m;
  return NULL;
}

/* The variant that BASE's tag selects; NULL: none. */
static const VmSchemaType *
selected_variant (const VmSchemaType *type, const void *base)
{
  if (!type->tag)
    return NULL;
  int tag = *(const int *) ((const char *) base + find_member (type, type->tag)->offset);
  return type->variants[tag];
}

static bool
read_members (Reader *r, const VmSchemaType *type, json_object *json, char *base)
{
  gsize path_len = r->path->len;

  for (const VmSchemaMember *m = type->members; m->name; m++)
    {
      json_object *value;
      if (!*m->name)
        continue;
      if (path_len)
        g_string_append_c (r->path, '.');
      g_string_append (r->path, m->name);
      if (json_object_object_get_ex (json, m->name, &value))
        {
          if (!vm_schema_admit (r->policy, m->flags, "parameter", m->name, r->error)
              || !read_value (r, m->type, value, base + m->offset))
            return false;
          if (m->has_offset)
            base[m->has_offset - 1] = true;
        }
      else if (!m->optional)
        {
          return vm_fail (r->error, "Parameter '%s' is missing", r->path->str);
        }
      g_string_truncate (r->path, path_len);
    }
  return true;
}

static bool
check_unexpected (Reader *r, const VmSchemaType *type, json_object *json, char *base)
{
  const VmSchemaType *variant = selected_variant (type, base);
  json_object *rest = NULL;

  json_object_object_foreach (json, key, value)
  {
    if (find_member (type, key) || (variant && find_member (variant, key)))
      continue;
    if (!type->open)
      return vm_fail (r->error, "Parameter '%s%s%s' is unexpected", r->path->str, r->path->len ? "." : "", key);
    if (!rest)
      rest = json_object_new_object ();
    json_object_object_add (rest, key, json_object_get (value));
  }
  if (type->open)
    *(json_object **) (base + find_member (type, "")->offset) = rest;
  return true;
}

static bool
read_struct (Reader *r, const VmSchemaType *type, json_object *json, void **out)
{
  if (!json_object_is_type (json, json_type_object))
    return wrong_type (r, "object");

  char *base = g_malloc0 (type->size);
  bool ok = read_members (r, type, json, base);
  if (ok)
    {
      const VmSchemaType *variant = selected_variant (type, base);
      if (variant)
        {
          void **u = (void **) (base + type->variant_offset);
          *u = g_malloc0 (variant->size);
          ok = read_members (r, variant, json, *u);
        }
    }
  ok = ok && check_unexpected (r, type, json, base);
  if (ok)
    *out = base;
  else
    vm_schema_free (type, base);
  return ok;
}

static bool
read_value (Reader *r, const VmSchemaType *type, json_object *json, void *field)
{
  switch (type->kind)
    {
    case VM_SCHEMA_STR:
      if (!json_object_is_type (json, json_type_string))
        return wrong_type (r, "string");
      *(char **) field = g_strdup (json_object_get_string (json));
      return true;
    case VM_SCHEMA_INT:
      return read_int (r, json, field);
    case VM_SCHEMA_SIZE:
      return read_size (r, json, field);
    case VM_SCHEMA_NUMBER:
      return read_number (r, json, field);
    case VM_SCHEMA_BOOL:
      return read_bool (r, json, field);
    case VM_SCHEMA_ANY:
      *(json_object **) field = json_object_get (json);
      return true;
    case VM_SCHEMA_ENUM:
      return read_enum (r, type, json, field);
    case VM_SCHEMA_STRUCT:
      return read_struct (r, type, json, field);
    case VM_SCHEMA_LIST:
      return read_list (r, type, json, field);
    }
  g_assert_not_reached ();
}

void *
vm_schema_read (const VmSchemaType *type, json_object *json, VmSchemaSource source, const char *path, GError **error)
{
  g_autoptr (GString) where = g_string_new (path);
  Reader r = { source, where, NULL, error };
  void *value = NULL;

  g_assert (type->kind == VM_SCHEMA_STRUCT);
  return read_struct (&r, type, json, &value) ? value : NULL;
}

void *
vm_schema_read_policed (const VmSchemaType *type, json_object *json, const VmCompatPolicy *policy, GError **error)
{
  g_autoptr (GString) where = g_string_new (NULL);
  Reader r = { VM_SCHEMA_JSON, where, policy, error };
  void *value = NULL;

  g_assert (type->kind == VM_SCHEMA_STRUCT);
  return read_struct (&r, type, json, &value) ? value : NULL;
}

static bool
member_is_there (const VmSchemaMember *m, const char *base)
{
  if (!m->optional)
    return true;
  return m->has_offset ? base[m->has_offset - 1] : *(void *const *) (base + m->offset) != NULL;
}

static void
write_members (const VmSchemaType *type, const char *base, const VmCompatPolicy *policy, json_object *out)
{
  for (const VmSchemaMember *m = type->members; m->name; m++)
    if (*m->name && member_is_there (m, base) && !vm_schema_is_hidden (policy, m->flags))
      json_object_object_add (out, m->name, vm_schema_write_policed (m->type, base + m->offset, policy));
}

static json_object *
write_list (const VmSchemaType *type, const void *list, const VmCompatPolicy *policy)
{
  json_object *out = json_object_new_array ();

  if (list_is_of_numbers (type))
    {
      const GArray *array = list;
      size_t width = type->element->kind == VM_SCHEMA_INT ? sizeof (int64_t) : sizeof (int);
      for (guint i = 0; i < array->len; i++)
        json_object_array_add (out, vm_schema_write_policed (type->element, array->data + i * width, policy));
    }
  else
    {
      const GPtrArray *array = list;
      for (guint i = 0; i < array->len; i++)
        json_object_array_add (out, vm_schema_write_policed (type->element, &array->pdata[i], policy));
    }
  return out;
}

json_object *
vm_schema_write_policed (const VmSchemaType *type, const void *value, const VmCompatPolicy *policy)
{
  switch (type->kind)
    {
    case VM_SCHEMA_STR:
      return json_object_new_string (*(char *const *) value ? *(char *const *) value : "");
    case VM_SCHEMA_INT:
      return json_object_new_int64 (*(const int64_t *) value);
    case VM_SCHEMA_SIZE:
      return json_object_new_uint64 (*(const uint64_t *) value);
    case VM_SCHEMA_NUMBER:
      return json_object_new_double (*(const double *) value);
    case VM_SCHEMA_BOOL:
      return json_object_new_boolean (*(const bool *) value);
    case VM_SCHEMA_ANY:
      return json_object_get (*(json_object *const *) value);
    case VM_SCHEMA_ENUM:
      return json_object_new_string (type->names[*(const int *) value]);
    case VM_SCHEMA_STRUCT:
      {
        const char *base = *(char *const *) value;
        json_object *out = json_object_new_object ();
        const VmSchemaType *variant = selected_variant (type, base);
        write_members (type, base, policy, out);
        if (variant && *(void *const *) (base + type->variant_offset))
          write_members (variant, *(char *const *) (base + type->variant_offset), policy, out);
        return out;
      }
    case VM_SCHEMA_LIST:
      return write_list (type, *(void *const *) value, policy);
    }
  g_assert_not_reached ();
}

json_object *
vm_schema_write (const VmSchemaType *type, const void *value)
{
  return vm_schema_write_policed (type, value, NULL);
}

static void
free_members (const VmSchemaType *type, char *base)
{
  for (const VmSchemaMember *m = type->members; m->name; m++)
    {
      VmSchemaKind kind = m->type->kind;
      if (kind == VM_SCHEMA_STR || kind == VM_SCHEMA_ANY || kind == VM_SCHEMA_STRUCT || kind == VM_SCHEMA_LIST)
        vm_schema_free (m->type, *(void **) (base + m->offset));
    }
}

void
vm_schema_free (const VmSchemaType *type, void *value)
{
  if (!value)
    return;
  switch (type->kind)
    {
    case VM_SCHEMA_ANY:
      json_object_put (value);
      break;
    case VM_SCHEMA_STRUCT:
      {
        const VmSchemaType *variant = selected_variant (type, value);
        void *more = type->tag ? *(void **) ((char *) value + type->variant_offset) : NULL;
        if (variant && more)
          vm_schema_free (variant, more);
        free_members (type, value);
        g_free (value);
        break;
      }
    case VM_SCHEMA_LIST:
      if (list_is_of_numbers (type))
        g_array_unref (value);
      else
        free_list_elements (type, value);
      break;
    default:
      g_free (value);
    }
}

const VmSchemaCommand *
vm_schema_find_command (const char *name)
{
  for (const VmSchemaCommand *c = vm_schema_commands; c->name; c++)
    if (!strcmp (c->name, name))
      return c;
  return NULL;
}

const VmSchemaEvent *
vm_schema_find_event (const char *name)
{
  for (const VmSchemaEvent *e = vm_schema_events; e->name; e++)
    if (!strcmp (e->name, name))
      return e;
  return NULL;
}

int
vm_schema_enum_value (const VmSchemaType *type, const char *name)
{
  for (int i = 0; type->names[i]; i++)
    if (!strcmp (type->names[i], name))
      return i;
  return -1;
}

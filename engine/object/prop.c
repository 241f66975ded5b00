/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values of properties: defaults, reading from text and writing as text. */
#include "engine/object/object.h"
#include "engine/object/prop-private.h"

#include <errno.h>
#include <inttypes.h>

static const char *const onoffauto_names[] = { "auto", "on", "off", NULL };

static uint64_t
load_number (const void *field, unsigned width)
{
  switch (width)
    {
    case 1:  return *(const uint8_t *) field;
    case 2:  return *(const uint16_t *) field;
    case 4:  return *(const uint32_t *) field;
    default: return *(const uint64_t *) field;
    }
}

static void
store_number (void *field, unsigned width, uint64_t value)
{
  switch (width)
    {
    case 1:  *(uint8_t *) field = (uint8_t) value; break;
    case 2:  *(uint16_t *) field = (uint16_t) value; break;
    case 4:  *(uint32_t *) field = (uint32_t) value; break;
    default: *(uint64_t *) field = value; break;
    }
}

static bool
is_number (const VmProp *prop)
{
  return prop->kind >= VM_PROP_BOOL && prop->kind <= VM_PROP_BIT && prop->kind != VM_PROP_STR;
}

uint64_t
vm_prop_number (const VmProp *prop, const void *field)
{
  uint64_t value;

  g_assert (is_number (prop));
  if (prop->kind == VM_PROP_BOOL)
    return *(const bool *) field;
  value = load_number (field, prop->width);
  if (prop->kind == VM_PROP_BIT)
    return value >> prop->bit & 1;
  if (prop->kind == VM_PROP_I32 || prop->kind == VM_PROP_ENUM)
    return (uint64_t) (int64_t) (int32_t) value;
  return value;
}

static void
put_number (const VmProp *prop, void *field, uint64_t value)
{
  if (prop->kind == VM_PROP_BOOL)
    *(bool *) field = value != 0;
  else if (prop->kind == VM_PROP_BIT)
    store_number (field, prop->width,
                  (load_number (field, prop->width) & ~VM_BIT (prop->bit)) |
                  (uint64_t) (value != 0) << prop->bit);
  else
    store_number (field, prop->width, value);
}

/* --- life ------------------------------------------------------------------------------------- */

void
vm_prop_set_default (VmObject *obj, const VmProp *prop, void *field)
{
  const char *text = (const char *) (uintptr_t) prop->def;
  g_autoptr (GError) error = NULL;

  switch (prop->kind)
    {
    case VM_PROP_STR:
      *(char **) field = g_strdup (text);
      break;
    case VM_PROP_LINK:
      *(VmObject **) field = NULL;
      break;
    case VM_PROP_CUSTOM:
      if (text && prop->custom->set && !prop->custom->set (obj, field, text, &error))
        g_error ("default of %s.%s: %s", obj->type->name, prop->name,
                 error ? error->message : "refused");
      break;
    default:
      put_number (prop, field, prop->def);
      break;
    }
}

void
vm_prop_clear (VmObject *obj, const VmProp *prop, void *field)
{
  if (prop->kind == VM_PROP_STR)
    g_clear_pointer ((char **) field, g_free);
  else if (prop->kind == VM_PROP_LINK)
    g_clear_pointer ((VmObject **) field, vm_object_unref);
  else if (prop->kind == VM_PROP_CUSTOM && prop->custom->clear)
    prop->custom->clear (obj, field);
}

/* --- from text -------------------------------------------------------------------------------- */

static bool
parse_bool (const char *name, const char *text, uint64_t *value, GError **error)
{
  static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "n", "y" };

  for (size_t i = 0; i < G_N_ELEMENTS (words); i++)
    if (strcmp (text, words[i]) == 0)
      {
        *value = i & 1;
        return true;
      }
  return vm_fail (error, "Parameter '%s' expects 'on' or 'off'", name);
}

/* A negative number is *NEGATIVE with its magnitude. Decimal, 0x for hexadecimal, 0 for octal. */
static bool
parse_integer (const char *text, bool *negative, uint64_t *magnitude)
{
  char *end;

  while (g_ascii_isspace (*text))
    text++;
  *negative = *text == '-';
  if (*text == '-' || *text == '+')
    text++;
  if (!g_ascii_isdigit (*text))
    return false;
  errno = 0;
  *magnitude = g_ascii_strtoull (text, &end, 0);
  return errno == 0 && !*end;
}

static bool
parse_number (const VmProp *prop, const char *text, uint64_t *value, GError **error)
{
  bool is_signed = prop->kind == VM_PROP_I32 || prop->kind == VM_PROP_I64;
  unsigned bits = prop->width * 8;
  bool negative, fits;
  uint64_t magnitude;

  if (!parse_integer (text, &negative, &magnitude))
    return vm_fail (error, "Parameter '%s' expects integer", prop->name);
  if (is_signed)
    fits = magnitude <= VM_BIT (bits - 1) - !negative;
  else if (negative && magnitude) /* -1 is a usual way to say all ones of 64 bits */
    fits = bits == 64 && magnitude <= VM_BIT (63);
  else
    fits = magnitude <= VM_MASK (bits - 1, 0);
  if (!fits)
    return vm_fail (error, "Parameter '%s' expects %s%u_t", prop->name,
                    is_signed ? "int" : "uint", bits);
  *value = negative ? -magnitude : magnitude;
  return true;
}

static bool
parse_size (const VmProp *prop, const char *text, uint64_t *value, GError **error)
{
  if (!vm_parse_size (text, 'B', value, NULL))
    return vm_fail (error, "Parameter '%s' expects size", prop->name);
  if (*value > VM_MASK (prop->width * 8 - 1, 0))
    return vm_fail (error, "Parameter '%s' expects uint%u_t", prop->name, prop->width * 8);
  return true;
}

static bool
parse_enum (const VmProp *prop, const char *const *names, const char *text, uint64_t *value,
            GError **error)
{
  for (uint64_t i = 0; names[i]; i++)
    if (strcmp (text, names[i]) == 0)
      {
        *value = i;
        return true;
      }
  return vm_fail (error, "Parameter '%s' does not accept value '%s'", prop->name, text);
}

static bool
set_link (VmObject *obj, const VmProp *prop, VmObject **field, const char *text, GError **error)
{
  VmObject *target = NULL;

  if (*text)
    {
      target = vm_object_resolve (vm_object_root (obj), text);
      if (!target)
        {
          g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", text);
          return false;
        }
      if (prop->link_type && !vm_object_is_a (target, prop->link_type))
        return vm_fail (error, "Invalid parameter type for '%s', expected: %s", prop->name,
                        prop->link_type->name);
      vm_object_ref (target);
    }
  vm_object_unref (*field);
  *field = target;
  return true;
}

static bool
set_number (const VmProp *prop, void *field, const char *text, GError **error)
{
  uint64_t value;
  bool ok;

  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      ok = parse_bool (prop->name, text, &value, error);
      break;
    case VM_PROP_SIZE:
      ok = parse_size (prop, text, &value, error);
      break;
    case VM_PROP_ONOFFAUTO:
      ok = parse_enum (prop, onoffauto_names, text, &value, error);
      break;
    case VM_PROP_ENUM:
      ok = parse_enum (prop, prop->names, text, &value, error);
      break;
    default:
      ok = parse_number (prop, text, &value, error);
      break;
    }
  if (ok)
    put_number (prop, field, value);
  return ok;
}

static bool
set_field (VmObject *obj, const VmProp *prop, void *field, const char *text, GError **error)
{
  switch (prop->kind)
    {
    case VM_PROP_STR:
      g_free (*(char **) field);
      *(char **) field = g_strdup (text);
      return true;
    case VM_PROP_LINK:
      return set_link (obj, prop, field, text, error);
    case VM_PROP_CUSTOM:
      return prop->custom->set (obj, field, text, error);
    default:
      return set_number (prop, field, text, error);
    }
}

static void
tell_changed (VmObject *obj, const VmProp *prop)
{
  if (obj->frozen && prop->changed)
    prop->changed (obj);
}

const VmProp *
vm_object_settable_prop (VmObject *obj, const char *name, uint32_t *offset, GError **error)
{
  const VmProp *prop = vm_type_find_prop (obj->type, name, offset);

  if (!prop)
    vm_fail (error, "Property '%s.%s' not found", obj->type->name, name);
  else if ((prop->flags & VM_PROP_READONLY) || (prop->kind == VM_PROP_CUSTOM && !prop->custom->set))
    vm_fail (error, "Property '%s.%s' is not writable", obj->type->name, name);
  else if (obj->frozen && !(prop->flags & VM_PROP_RUNTIME))
    vm_fail (error, "Attempt to set property '%s' on device '%s' (type '%s') after it was realized",
             name, obj->id ? obj->id : "", obj->type->name);
  else
    return prop;
  return NULL;
}

bool
vm_object_set (VmObject *obj, const char *name, const char *value, GError **error)
{
  uint32_t offset;
  const VmProp *prop = vm_object_settable_prop (obj, name, &offset, error);

  if (!prop || !set_field (obj, prop, (char *) obj + offset, value, error))
    return false;
  tell_changed (obj, prop);
  return true;
}

void
vm_object_set_uint (VmObject *obj, const char *name, uint64_t value)
{
  uint32_t offset;
  const VmProp *prop = vm_type_find_prop (obj->type, name, &offset);

  if (!prop || !is_number (prop))
    g_error ("%s has no numeric property %s", obj->type->name, name);
  put_number (prop, (char *) obj + offset, value);
  tell_changed (obj, prop);
}

void
vm_object_set_str (VmObject *obj, const char *name, const char *value)
{
  g_autoptr (GError) error = NULL;
  uint32_t offset;
  const VmProp *prop = vm_type_find_prop (obj->type, name, &offset);

  if (!prop)
    g_error ("%s has no property %s", obj->type->name, name);
  if (!set_field (obj, prop, (char *) obj + offset, value, &error))
    g_error ("%s.%s: %s", obj->type->name, name, error->message);
  tell_changed (obj, prop);
}

/* --- to text ---------------------------------------------------------------------------------- */

static char *
enum_text (const char *const *names, int64_t value)
{
  for (int64_t i = 0; names[i]; i++)
    if (i == value)
      return g_strdup (names[i]);
  return g_strdup_printf ("%" PRId64, value);
}

char *
vm_object_get (VmObject *obj, const char *name, GError **error)
{
  uint32_t offset;
  const VmProp *prop = vm_type_find_prop (obj->type, name, &offset);
  const void *field = (const char *) obj + offset;
  char *text;

  if (!prop)
    {
      vm_fail (error, "Property '%s.%s' not found", obj->type->name, name);
      return NULL;
    }
  switch (prop->kind)
    {
    case VM_PROP_STR:
      text = *(char *const *) field;
      return g_strdup (text ? text : "");
    case VM_PROP_LINK:
      return *(VmObject *const *) field ? vm_object_path (*(VmObject *const *) field) : g_strdup ("");
    case VM_PROP_CUSTOM:
      text = prop->custom->get ? prop->custom->get (obj, field) : NULL;
      return text ? text : g_strdup ("");
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return g_strdup (vm_prop_number (prop, field) ? "on" : "off");
    case VM_PROP_ONOFFAUTO:
      return enum_text (onoffauto_names, (int64_t) vm_prop_number (prop, field));
    case VM_PROP_ENUM:
      return enum_text (prop->names, (int64_t) vm_prop_number (prop, field));
    case VM_PROP_I32:
    case VM_PROP_I64:
      return g_strdup_printf ("%" PRId64, (int64_t) vm_prop_number (prop, field));
    default:
      return g_strdup_printf ("%" PRIu64, vm_prop_number (prop, field));
    }
}

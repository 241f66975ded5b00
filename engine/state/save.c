/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing field tables into a stream. */
#include "engine/state/state.h"
#include "engine/state/state-private.h"

static void
put_u32 (GByteArray *out, uint32_t value)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, value);
  g_byte_array_append (out, bytes, sizeof bytes);
}

static void
put_name (GByteArray *out, const char *name)
{
  size_t length = strlen (name);
  uint8_t byte = (uint8_t) length;

  g_assert (length <= UINT8_MAX);
  g_byte_array_append (out, &byte, 1);
  g_byte_array_append (out, (const uint8_t *) name, length);
}

/* Leaves room for a length; end_block() fills it in. */
static guint
begin_block (GByteArray *out)
{
  put_u32 (out, 0);
  return out->len;
}

static void
end_block (GByteArray *out, guint begin)
{
  vm_store_le32 (out->data + begin - 4, out->len - begin);
}

static void
put_timer (GByteArray *out, const VmTimer *timer)
{
  int64_t expire = timer->clocks && vm_timer_pending (timer) ? timer->expire : -1;
  uint8_t bytes[8];

  /* Host monotonic time means nothing elsewhere: how long is left does. */
  if (expire >= 0 && timer->type == VM_CLOCK_REALTIME)
    expire = MAX (expire - vm_clock_now (timer->clocks, VM_CLOCK_REALTIME), 0);
  vm_store_le64 (bytes, (uint64_t) expire);
  g_byte_array_append (out, bytes, sizeof bytes);
}

static void put_fields (GByteArray *out, void *base, const VmField *fields);

static void
put_structs (GByteArray *out, char *base, const VmField *field)
{
  for (uint32_t i = 0; i < field->count; i++)
    {
      guint begin = begin_block (out);

      put_fields (out, base + field->offset + (size_t) i * field->size, field->fields);
      end_block (out, begin);
    }
}

static void
put_fields (GByteArray *out, void *base, const VmField *fields)
{
  for (const VmField *field = fields; field->kind != VM_FIELD_END; field++)
    {
      put_name (out, field->name);
      guint begin = begin_block (out);
      if (field->kind == VM_FIELD_STRUCT)
        put_structs (out, base, field);
      else if (field->kind == VM_FIELD_TIMER)
        put_timer (out, (const VmTimer *) (const void *) ((char *) base + field->offset));
      else if (field_bytes (field, base))
        g_byte_array_append (out, field_data (field, base), field_bytes (field, base));
      end_block (out, begin);
    }
}

static void
put_object (GByteArray *out, VmObject *obj, const VmType *type)
{
  if (type->parent)
    put_object (out, obj, type->parent);
  if (!type->state)
    return;
  uint8_t version = type_version (type);
  put_name (out, type->name);
  g_byte_array_append (out, &version, 1);
  guint begin = begin_block (out);
  put_fields (out, obj, type->state);
  end_block (out, begin);
}

/* --- sections --------------------------------------------------------------------------------- */

bool
vm_state_write_header (const VmStateWriter *writer, GError **error)
{
  uint8_t header[16] = { 0 };

  memcpy (header, STATE_MAGIC, 8);
  vm_store_le32 (header + 8, STATE_FORMAT);
  return writer->write (writer->opaque, header, sizeof header, error);
}

bool
vm_state_write_section (const VmStateWriter *writer, const char *kind, const char *name,
                        const void *data, size_t size, GError **error)
{
  g_autoptr (GByteArray) head = g_byte_array_new ();
  uint8_t length[2];

  if (size > VM_STATE_MAX_SECTION || strlen (name) > UINT16_MAX)
    return vm_fail (error, "%s: the state is too big to be saved", name);
  put_name (head, kind);
  vm_store_le16 (length, strlen (name));
  g_byte_array_append (head, length, sizeof length);
  g_byte_array_append (head, (const uint8_t *) name, strlen (name));
  put_u32 (head, size);
  return writer->write (writer->opaque, head->data, head->len, error) &&
         (size == 0 || writer->write (writer->opaque, data, size, error));
}

bool
vm_state_write_table (const VmStateWriter *writer, const char *kind, const char *name, const void *base,
                      const VmField *fields, uint8_t version, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  g_byte_array_append (out, &version, 1);
  put_fields (out, (void *) base, fields);
  return vm_state_write_section (writer, kind, name, out->data, out->len, error);
}

static bool
write_object_tree (const VmStateWriter *writer, VmObject *obj, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  put_object (out, obj, obj->type);
  if (out->len)
    {
      g_autofree char *path = vm_object_path (obj);

      if (!vm_state_write_section (writer, KIND_OBJECT, path, out->data, out->len, error))
        return false;
    }
  for (guint i = 0; obj->children && i < obj->children->len; i++)
    if (!write_object_tree (writer, g_ptr_array_index (obj->children, i), error))
      return false;
  return true;
}

bool
vm_state_write_objects (const VmStateWriter *writer, const VmEnv *env, GError **error)
{
  uint8_t now[8];

  if (!vm_devices_pre_save (env, error))
    return false;
  vm_store_le64 (now, (uint64_t) vm_clock_now (env->clocks, VM_CLOCK_VIRTUAL));
  return vm_state_write_section (writer, KIND_CLOCK, "virtual", now, sizeof now, error) &&
         write_object_tree (writer, env->root, error);
}

bool
vm_state_write_end (const VmStateWriter *writer, GError **error)
{
  return writer->write (writer->opaque, "", 1, error);
}

bool
vm_state_write_array (void *array, const void *data, size_t size, GError **error)
{
  g_byte_array_append (array, data, size);
  return true;
}

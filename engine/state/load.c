/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a stream: everything is checked and kept aside first, then exchanged with what is in
 * place. */
#include "engine/state/state.h"
#include "engine/state/state-private.h"

#include <inttypes.h>

/* One thing to put in place; afterwards it holds what was there before. */
typedef struct Change {
  void     *target; /* bytes, a VmTimer when SIZE is 0 */
  size_t    size;
  size_t    offset; /* of the bytes in the scratch */
  int64_t   expire;
} Change;

struct VmStateLoad {
  GArray     *changes;  /* of Change */
  GByteArray *scratch;
  GHashTable *objects;  /* those that had their section */
  GPtrArray  *devices;  /* to be told by post_load, in the order of the stream */
  VmClocks   *clocks;
  int64_t     virtual_now; /* -1: not in the stream */
};

/* A piece of a stream, consumed from the front. */
typedef struct Piece {
  const uint8_t *data;
  size_t         left;
} Piece;

static bool
take (Piece *piece, size_t size, Piece *taken)
{
  if (size > piece->left)
    return false;
  *taken = (Piece) { piece->data, size };
  piece->data += size;
  piece->left -= size;
  return true;
}

static bool
take_u8 (Piece *piece, unsigned *value)
{
  Piece bytes;

  if (!take (piece, 1, &bytes))
    return false;
  *value = bytes.data[0];
  return true;
}

/* A uint32 length and that many bytes. */
static bool
take_block (Piece *piece, Piece *block)
{
  Piece length;

  return take (piece, 4, &length) && take (piece, vm_load_le32 (length.data), block);
}

static bool
take_name (Piece *piece, Piece *name)
{
  unsigned length;

  return take_u8 (piece, &length) && take (piece, length, name);
}

static bool
piece_is (const Piece *piece, const char *text)
{
  return piece->left == strlen (text) && memcmp (piece->data, text, piece->left) == 0;
}

/* NAME for a message, whatever bytes it has. */
static char *
printable (const Piece *name)
{
  g_autofree char *text = g_strndup ((const char *) name->data, name->left);

  return g_strescape (text, NULL);
}

static bool
damaged (const char *where, GError **error)
{
  return vm_fail (error, "%s: saved state is damaged", where);
}

/* --- fields ----------------------------------------------------------------------------------- */

/* Where a table is being loaded, for messages. */
typedef struct Where {
  const char *object;
  unsigned    version;
} Where;

static bool load_fields (VmStateLoad *load, const Where *where, void *base, const VmField *fields,
                         Piece piece, GError **error);

static bool
load_timer (VmStateLoad *load, const Where *where, VmTimer *timer, const VmField *field, Piece value,
            GError **error)
{
  Change change = { .target = timer };

  if (value.left != 8)
    return damaged (where->object, error);
  change.expire = (int64_t) vm_load_le64 (value.data);
  if (change.expire < -1 || (change.expire >= 0 && !timer->clocks))
    return vm_fail (error, "%s: saved timer '%s' has an impossible value", where->object, field->name);
  if (!timer->clocks)
    return true;
  if (change.expire >= 0 && timer->type == VM_CLOCK_REALTIME &&
      __builtin_add_overflow (change.expire, vm_clock_now (timer->clocks, VM_CLOCK_REALTIME),
                              &change.expire))
    change.expire = INT64_MAX;
  g_array_append_val (load->changes, change);
  return true;
}

static bool
load_bytes (VmStateLoad *load, const Where *where, void *base, const VmField *field, Piece value,
            GError **error)
{
  size_t size = field_bytes (field, base);
  Change change = { .target = field_data (field, base), .size = size, .offset = load->scratch->len };

  if (value.left != size)
    return vm_fail (error, "%s: saved field '%s' has %zu bytes instead of %zu", where->object,
                    field->name, value.left, size);
  for (size_t i = 0; field->boolean && i < size; i++)
    if (value.data[i] > 1)
      return vm_fail (error, "%s: saved field '%s' is neither true nor false", where->object, field->name);
  if (size == 0)
    return true;
  g_byte_array_append (load->scratch, value.data, size);
  g_array_append_val (load->changes, change);
  return true;
}

static bool
load_structs (VmStateLoad *load, const Where *where, char *base, const VmField *field, Piece value,
              GError **error)
{
  for (uint32_t i = 0; i < field->count; i++)
    {
      Piece block;

      if (!take_block (&value, &block))
        return damaged (where->object, error);
      if (!load_fields (load, where, base + field->offset + (size_t) i * field->size, field->fields, block,
                        error))
        return false;
    }
  return value.left == 0 || damaged (where->object, error);
}

static bool
load_field (VmStateLoad *load, const Where *where, void *base, const VmField *field, Piece value,
            GError **error)
{
  void *timer = (char *) base + field->offset;

  switch (field->kind)
    {
    case VM_FIELD_STRUCT: return load_structs (load, where, base, field, value, error);
    case VM_FIELD_TIMER:  return load_timer (load, where, timer, field, value, error);
    default:              return load_bytes (load, where, base, field, value, error);
    }
}

/* Index of the field NAME, looked for from HINT on and around; COUNT when there is none. */
static size_t
find_field (const VmField *fields, size_t count, size_t hint, const Piece *name)
{
  for (size_t i = 0; i < count; i++)
    {
      size_t at = (hint + i) % count;

      if (piece_is (name, fields[at].name))
        return at;
    }
  return count;
}

static bool
load_fields (VmStateLoad *load, const Where *where, void *base, const VmField *fields, Piece piece,
             GError **error)
{
  size_t count = 0, hint = 0;
  Piece name, value;

  while (fields[count].kind != VM_FIELD_END)
    count++;
  g_autofree bool *seen = g_new0 (bool, count + 1);
  while (piece.left)
    {
      if (!take_name (&piece, &name) || !take_block (&piece, &value))
        return damaged (where->object, error);
      size_t i = find_field (fields, count, hint, &name);
      if (i < count && fields[i].since > where->version)
        i = count;
      if (i == count || seen[i])
        {
          g_autofree char *text = printable (&name);

          return vm_fail (error, "%s: saved field '%s' is %s", where->object, text,
                          i == count ? "unknown" : "there twice");
        }
      seen[i] = true;
      hint = i + 1;
      if (!load_field (load, where, base, &fields[i], value, error))
        return false;
    }
  for (size_t i = 0; i < count; i++)
    if (!seen[i] && MAX (fields[i].since, 1) <= where->version)
      return vm_fail (error, "%s: saved field '%s' is missing", where->object, fields[i].name);
  return true;
}

static bool
check_version (const Where *where, const char *type, unsigned newest, GError **error)
{
  if (where->version >= 1 && where->version <= newest)
    return true;
  return vm_fail (error, "%s: version %u of '%s' is not supported, the newest known is %u", where->object,
                  where->version, type, newest);
}

bool
vm_state_load_table (VmStateLoad *load, const VmStateSection *section, void *base, const VmField *fields,
                     uint8_t version, GError **error)
{
  Piece piece = { section->data, section->size };
  g_autofree char *name = g_strescape (section->name, NULL);
  Where where = { .object = name };

  if (!take_u8 (&piece, &where.version))
    return damaged (name, error);
  return check_version (&where, section->kind, version, error) &&
         load_fields (load, &where, base, fields, piece, error);
}

/* --- objects ---------------------------------------------------------------------------------- */

/* The part of TYPE and, before it, those of its parents. */
static bool
load_types (VmStateLoad *load, const char *path, VmObject *obj, const VmType *type, Piece *piece,
            GError **error)
{
  Where where = { .object = path };
  Piece name, block;

  if (type->parent && !load_types (load, path, obj, type->parent, piece, error))
    return false;
  if (!type->state)
    return true;
  if (!take_name (piece, &name) || !take_u8 (piece, &where.version) || !take_block (piece, &block))
    return damaged (path, error);
  if (!piece_is (&name, type->name))
    {
      g_autofree char *text = printable (&name);

      return vm_fail (error, "%s: saved as '%s', but here it is '%s'", path, text, type->name);
    }
  if (!check_version (&where, type->name, type_version (type), error))
    return false;
  return load_fields (load, &where, obj, type->state, block, error);
}

static bool
load_object (VmStateLoad *load, const VmEnv *env, const VmStateSection *section, GError **error)
{
  VmObject *obj = *section->name == '/' ? vm_object_resolve (env->root, section->name) : NULL;
  g_autofree char *path = NULL;
  Piece piece = { section->data, section->size };

  if (!obj)
    {
      g_autofree char *text = g_strescape (section->name, NULL);

      return vm_fail (error, "%s: saved, but not part of this machine", text);
    }
  path = vm_object_path (obj);
  if (!g_hash_table_add (load->objects, obj))
    return vm_fail (error, "%s: saved twice", path);
  if (!load_types (load, path, obj, obj->type, &piece, error))
    return false;
  if (piece.left)
    return damaged (path, error);
  if (vm_object_is_a (obj, &vm_device_type))
    g_ptr_array_add (load->devices, obj);
  return true;
}

static bool
has_state (const VmObject *obj)
{
  const VmType *type = obj->type;

  while (type && !type->state)
    type = type->parent;
  return type != NULL;
}

static bool
check_all_loaded (const VmStateLoad *load, VmObject *obj, GError **error)
{
  if (has_state (obj) && !g_hash_table_contains (load->objects, obj))
    {
      g_autofree char *path = vm_object_path (obj);

      return vm_fail (error, "%s: no saved state for it", path);
    }
  for (guint i = 0; obj->children && i < obj->children->len; i++)
    if (!check_all_loaded (load, g_ptr_array_index (obj->children, i), error))
      return false;
  return true;
}

static bool
load_clock (VmStateLoad *load, const VmStateSection *section, GError **error)
{
  if (strcmp (section->name, "virtual") != 0 || section->size != 8 || load->virtual_now >= 0)
    return damaged (KIND_CLOCK, error);
  load->virtual_now = (int64_t) vm_load_le64 (section->data);
  if (load->virtual_now < 0 || load->virtual_now > INT64_MAX / 2)
    return vm_fail (error, "saved virtual time is impossible");
  return true;
}

/* --- putting in place ------------------------------------------------------------------------- */

static void
exchange_bytes (uint8_t *a, uint8_t *b, size_t size)
{
  uint8_t buffer[256];

  for (size_t n; size; a += n, b += n, size -= n)
    {
      n = MIN (size, sizeof buffer);
      memcpy (buffer, a, n);
      memcpy (a, b, n);
      memcpy (b, buffer, n);
    }
}

static void
exchange_timer (VmTimer *timer, int64_t *expire)
{
  int64_t before = timer->expire;

  if (*expire >= 0)
    vm_timer_set (timer, *expire);
  else
    vm_timer_cancel (timer);
  *expire = before;
}

/* Done twice, it is undone. */
static void
exchange_all (VmStateLoad *load)
{
  if (load->virtual_now >= 0)
    {
      int64_t before = vm_clock_now (load->clocks, VM_CLOCK_VIRTUAL);

      vm_clocks_set_virtual (load->clocks, load->virtual_now);
      load->virtual_now = before;
    }
  for (guint i = 0; i < load->changes->len; i++)
    {
      Change *change = &g_array_index (load->changes, Change, i);

      if (change->size)
        exchange_bytes (change->target, load->scratch->data + change->offset, change->size);
      else
        exchange_timer (change->target, &change->expire);
    }
}

static bool
post_load_all (VmStateLoad *load, GError **error)
{
  for (guint i = 0; i < load->devices->len; i++)
    {
      VmDevice *dev = g_ptr_array_index (load->devices, i);

      if (dev->realized && !vm_device_post_load (dev, error))
        {
          if (error && !*error)
            vm_fail (error, "%s: saved state is refused", vm_device_path (dev));
          return false;
        }
    }
  return true;
}

static bool
commit (VmStateLoad *load, GError **error)
{
  exchange_all (load);
  if (post_load_all (load, error))
    return true;
  exchange_all (load);
  /* What devices derive from their fields follows the old ones again; they were fine before. */
  post_load_all (load, NULL);
  return false;
}

/* --- stream ----------------------------------------------------------------------------------- */

typedef struct Reader {
  VmStateReadFunc read;
  void           *opaque;
  GByteArray     *data; /* of the section */
  char            kind[UINT8_MAX + 1];
  char            name[UINT16_MAX + 1];
} Reader;

static bool
read_header (Reader *reader, GError **error)
{
  uint8_t header[16];

  if (!reader->read (reader->opaque, header, sizeof header, error))
    return false;
  if (memcmp (header, STATE_MAGIC, 8) != 0)
    return vm_fail (error, "this is not a saved machine");
  if (vm_load_le32 (header + 8) != STATE_FORMAT || vm_load_le32 (header + 12) != 0)
    return vm_fail (error, "the machine was saved in a format that is not supported (%" PRIu32 ")",
                    vm_load_le32 (header + 8));
  return true;
}

/* LENGTH bytes of text without NUL, into TEXT. */
static bool
read_text (Reader *reader, char *text, size_t length, GError **error)
{
  if (length && !reader->read (reader->opaque, text, length, error))
    return false;
  text[length] = 0;
  return strlen (text) == length || damaged ("section", error);
}

/* In steps, so that memory is taken only for what is really there. */
static bool
read_data (Reader *reader, size_t size, GError **error)
{
  g_byte_array_set_size (reader->data, 0);
  while (size)
    {
      size_t step = MIN (size, VM_MIB), at = reader->data->len;

      g_byte_array_set_size (reader->data, at + step);
      if (!reader->read (reader->opaque, reader->data->data + at, step, error))
        return false;
      size -= step;
    }
  return true;
}

/* END is set instead of SECTION at the end mark. */
static bool
read_section (Reader *reader, VmStateSection *section, bool *end, GError **error)
{
  uint8_t length[4];

  if (!reader->read (reader->opaque, length, 1, error))
    return false;
  *end = length[0] == 0;
  if (*end)
    return true;
  if (!read_text (reader, reader->kind, length[0], error) ||
      !reader->read (reader->opaque, length, 2, error) ||
      !read_text (reader, reader->name, vm_load_le16 (length), error) ||
      !reader->read (reader->opaque, length, 4, error))
    return false;
  if (vm_load_le32 (length) > VM_STATE_MAX_SECTION)
    return damaged ("section", error);
  if (!read_data (reader, vm_load_le32 (length), error))
    return false;
  *section = (VmStateSection) { reader->kind, reader->name, reader->data->data, reader->data->len };
  return true;
}

static bool
load_section (VmStateLoad *load, const VmEnv *env, const VmStateSection *section,
              VmStateSectionFunc other, void *other_opaque, GError **error)
{
  if (strcmp (section->kind, KIND_OBJECT) == 0)
    return load_object (load, env, section, error);
  if (strcmp (section->kind, KIND_CLOCK) == 0)
    return load_clock (load, section, error);
  if (other)
    return other (load, section, other_opaque, error);
  g_autofree char *text = g_strescape (section->kind, NULL);
  return vm_fail (error, "saved state holds a section of unknown kind '%s'", text);
}

static bool
load_stream (VmStateLoad *load, Reader *reader, const VmEnv *env, VmStateSectionFunc other,
             void *other_opaque, GError **error)
{
  VmStateSection section;
  bool end;

  if (!read_header (reader, error))
    return false;
  for (;;)
    {
      if (!read_section (reader, &section, &end, error))
        return false;
      if (end)
        return check_all_loaded (load, env->root, error) && commit (load, error);
      if (!load_section (load, env, &section, other, other_opaque, error))
        return false;
    }
}

bool
vm_state_load (VmStateReadFunc read, void *read_opaque, const VmEnv *env, VmStateSectionFunc other,
               void *other_opaque, GError **error)
{
  g_autofree Reader *reader = g_new (Reader, 1);
  VmStateLoad load = {
    .changes = g_array_new (FALSE, FALSE, sizeof (Change)),
    .scratch = g_byte_array_new (),
    .objects = g_hash_table_new (NULL, NULL),
    .devices = g_ptr_array_new (),
    .clocks = env->clocks,
    .virtual_now = -1,
  };

  *reader = (Reader) { .read = read, .opaque = read_opaque, .data = g_byte_array_new () };
  bool ok = load_stream (&load, reader, env, other, other_opaque, error);
  g_byte_array_unref (reader->data);
  g_array_unref (load.changes);
  g_byte_array_unref (load.scratch);
  g_hash_table_unref (load.objects);
  g_ptr_array_unref (load.devices);
  return ok;
}

bool
vm_state_read_cursor (void *cursor, void *data, size_t size, GError **error)
{
  VmStateCursor *self = cursor;

  if (size > self->left)
    return vm_fail (error, "saved state ends early");
  memcpy (data, self->data, size);
  self->data += size;
  self->left -= size;
  return true;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The descriptor of VMDK images: lines of text that say what the disk consists of. */
#include "block/formats/vmdk-private.h"

#include <errno.h>
#include <inttypes.h>

#define MAX_EXTENTS 4096

/* The line of NAME, behind its "="; *END is behind the line. */
static const char *
find_line (const char *text, const char *name, const char **start, const char **end)
{
  size_t len = strlen (name);

  for (const char *line = text; *line;)
    {
      const char *next = strchr (line, '\n');
      next = next ? next + 1 : line + strlen (line);
      const char *at = line + strspn (line, " \t");
      if (!strncmp (at, name, len))
        {
          at += len;
          at += strspn (at, " \t");
          if (*at == '=')
            {
              *start = line;
              *end = next;
              return at + 1;
            }
        }
      line = next;
    }
  return NULL;
}

char *
vm_vmdk_value (const char *descriptor, const char *name)
{
  const char *start, *end, *at = find_line (descriptor, name, &start, &end);

  if (!at)
    return NULL;
  char *value = g_strstrip (g_strndup (at, end - at));
  size_t len = strlen (value);
  if (len >= 2 && *value == '"' && value[len - 1] == '"')
    {
      memmove (value, value + 1, len - 2);
      value[len - 2] = 0;
    }
  return value;
}

bool
vm_vmdk_id (const char *descriptor, const char *name, uint32_t *id)
{
  g_autofree char *value = vm_vmdk_value (descriptor, name);
  char *end = NULL;

  if (!value || !g_ascii_isxdigit (*value))
    return false;
  *id = g_ascii_strtoull (value, &end, 16);
  return true;
}

char *
vm_vmdk_set_value (const char *text, const char *name, const char *value, const char *after)
{
  const char *start, *end;
  g_autofree char *line = value ? g_strdup_printf ("%s=%s\n", name, value) : g_strdup ("");

  if (find_line (text, name, &start, &end))
    return g_strdup_printf ("%.*s%s%s", (int) (start - text), text, line, end);
  if (!find_line (text, after, &start, &end))
    return NULL;
  return g_strdup_printf ("%.*s%s%s", (int) (end - text), text, line, end);
}

int
vm_vmdk_write_descriptor (VmNode *node, const char *text)
{
  Vmdk *s = node->state;
  VmNode *file = node->file->node;
  size_t len = strlen (text), old = strlen (s->descriptor), n = MAX (len, old);

  if (len >= VMDK_MAX_DESCRIPTOR || (s->descriptor_room && len > s->descriptor_room))
    return -ENOSPC;
  /* Blanks out what a longer one has left behind. */
  g_autofree char *bytes = g_malloc0 (n + 1);
  memcpy (bytes, text, len);
  if (!s->descriptor_room)
    memset (bytes + len, '\n', n - len);
  int err = vm_meta_write (&s->map.meta, file, s->descriptor_at, bytes, n);
  if (err >= 0)
    {
      g_free (s->descriptor);
      s->descriptor = g_strdup (text);
    }
  return MIN (err, 0);
}

bool
vm_vmdk_is_descriptor (const char *text, size_t len)
{
  const char *end = text + len;

  while (text < end)
    {
      size_t rest = end - text;
      const char *next = memchr (text, '\n', rest);
      if (*text != '#' && *text != ' ' && *text != '\r' && *text != '\n')
        {
          static const char *const versions[] = { "version=1", "version=2", "version=3" };
          for (size_t i = 0; i < G_N_ELEMENTS (versions); i++)
            if (rest > 9 && !memcmp (text, versions[i], 9) && (text[9] == '\n' || text[9] == '\r'))
              return true;
          return false;
        }
      if (!next)
        return false;
      text = next + 1;
    }
  return false;
}

/* --- extents ----------------------------------------------------------------------------------------------- */

typedef struct Line
{
  char access[16], type[16], name[512];
  uint64_t sectors, offset;
  bool has_offset;
} Line;

static const char *
take_word (const char *at, char *to, size_t room)
{
  at += strspn (at, " \t");
  size_t len = strcspn (at, " \t\r\n");

  g_strlcpy (to, "", room);
  if (len < room)
    g_strlcpy (to, at, len + 1);
  return at + len;
}

/* RW 4192256 SPARSE "disk-s001.vmdk", RW 1048576 FLAT "disk-flat.vmdk" 0 */
static bool
parse_line (const char *text, Line *line)
{
  char number[32], *end;
  const char *at = take_word (text, line->access, sizeof line->access);

  if (strcmp (line->access, "RW") && strcmp (line->access, "RDONLY") && strcmp (line->access, "NOACCESS"))
    return false;
  at = take_word (at, number, sizeof number);
  line->sectors = g_ascii_strtoull (number, &end, 10);
  if (end == number || *end)
    line->sectors = 0;
  at = take_word (at, line->type, sizeof line->type);
  at += strspn (at, " \t");
  const char *close = *at == '"' ? strchr (at + 1, '"') : NULL;
  if (close && (size_t) (close - at) <= sizeof line->name)
    {
      g_strlcpy (line->name, at + 1, close - at);
      at = take_word (close + 1, number, sizeof number);
      line->offset = g_ascii_strtoull (number, &end, 10);
      line->has_offset = end != number && !*end;
    }
  return true;
}

/* An image may name files of its own folder and of folders in it, nothing else. */
static bool
name_is_harmless (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);

  if (g_path_is_absolute (name))
    return false;
  for (unsigned i = 0; parts[i]; i++)
    if (!strcmp (parts[i], ".."))
      return false;
  return *name != 0;
}

static VmNode *
open_extent_file (VmNode *node, const char *name, GError **error)
{
  Vmdk *s = node->state;
  VmNode *file = node->file->node;
  g_autofree char *child = g_strdup_printf ("extents.%u", s->extents->len);

  if (!name_is_harmless (name))
    {
      vm_fail (error, "The VMDK image names a file outside of its folder: '%s'", name);
      return NULL;
    }
  if (strcmp (file->driver->name, "file"))
    {
      vm_fail (error, "Cannot use relative paths with VMDK descriptor file '%s'", file->filename);
      return NULL;
    }
  const char *slash = strrchr (file->filename, '/');
  g_autofree char *path
      = g_strdup_printf ("%.*s%s", slash ? (int) (slash + 1 - file->filename) : 0, file->filename, name);
  json_object *options = json_object_new_object ();
  json_object_object_add (options, "driver", json_object_new_string ("file"));
  json_object_object_add (options, "filename", json_object_new_string (path));
  json_object_object_add (node->options, child, options);
  VmEdge *edge = vm_node_open_child (node, child, VM_ROLE_DATA | VM_ROLE_METADATA, true, error);
  json_object_object_del (node->options, child);
  return edge ? edge->node : NULL;
}

/* A seSparse extent stands beside its like alone. */
static bool
check_neighbours (VmNode *node, GError **error)
{
  const Vmdk *s = node->state;

  for (unsigned i = 0; i < s->extents->len; i++)
    {
      const VmdkExtent *other = &g_array_index (s->extents, VmdkExtent, i);
      if (other->kind != VMDK_SE || other->size % other->grain)
        return vm_fail (error, "VMDK images with extents of different grains are not supported");
    }
  return true;
}

static bool
add_extent (VmNode *node, const Line *line, GError **error)
{
  Vmdk *s = node->state;
  bool flat = !strcmp (line->type, "FLAT"), vmfs = !strcmp (line->type, "VMFS"), zero = !strcmp (line->type, "ZERO");
  bool sparse = !strcmp (line->type, "SPARSE") || !strcmp (line->type, "VMFSSPARSE");
  bool se = !strcmp (line->type, "SESPARSE");

  if (!line->sectors || line->sectors > INT64_MAX / 512 || (!flat && !vmfs && !zero && !sparse && !se)
      || (!zero && !*line->name) || (flat && !line->has_offset) || line->offset > INT64_MAX / 512)
    return vm_fail (error, "Invalid extent line: %s %" PRIu64 " %s \"%s\"", line->access, line->sectors, line->type,
                    line->name);
  if (s->extents->len >= MAX_EXTENTS)
    return vm_fail (error, "The VMDK image has too many extents");
  if (strcmp (line->access, "RW"))
    s->readonly_extents = true;
  VmNode *file = zero ? NULL : open_extent_file (node, line->name, error);
  if (!zero && !file)
    return false;
  if (se)
    return check_neighbours (node, error) && vm_vmdk_add_se (node, file, line->name, line->sectors * 512, error);
  if (sparse)
    return vm_vmdk_add_sparse (node, file, line->name, line->type, line->sectors * 512, error);
  VmdkExtent extent = {
    .kind = zero ? VMDK_ALL_ZERO : VMDK_FLAT,
    .file = file,
    .filename = g_strdup (line->name),
    .type = g_strdup (line->type),
    .start = node->size,
    .size = line->sectors * 512,
    .offset = line->offset * 512,
  };
  g_array_append_val (s->extents, extent);
  node->size += extent.size;
  return node->size <= INT64_MAX || vm_fail (error, "The VMDK image is too big");
}

bool
vm_vmdk_open_extents (VmNode *node, GError **error)
{
  Vmdk *s = node->state;
  g_auto (GStrv) lines = g_strsplit (s->descriptor, "\n", -1);

  for (unsigned i = 0; lines[i]; i++)
    {
      Line line = { 0 };
      if (parse_line (lines[i], &line) && !add_extent (node, &line, error))
        return false;
    }
  return s->extents->len || vm_fail (error, "The VMDK image has no extents");
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors on demand: rules say at which step of a driver, in which state of a small state machine and for which requests
 * the node below fails. At breakpoints requests stop until they are told to go on. After the documentation of blkdebug. */
#include "block/graph-private.h"

#include "engine/schema/types.h"

#include <errno.h>

typedef struct Rule
{
  VmqBlkdebugEvent event;
  int64_t state;     /* in which it acts; 0: in any */
  int64_t new_state; /* of a change of the state; 0: this is an error */
  unsigned kinds;    /* bits of VmqBlkdebugIOType */
  int error;
  int64_t sector; /* -1: any */
  bool once, immediately;
  bool active; /* its event has happened, and none that other errors wait for since */
} Rule;

typedef struct Stop
{
  VmqBlkdebugEvent event;
  char *tag;
  bool resumed;
  VmFiberQueue request; /* that stopped here */
} Stop;

typedef struct Blkdebug
{
  GArray *rules;
  GPtrArray *breakpoints, *stopped; /* Stop */
  int64_t state;
  unsigned take, unshare; /* VmPerm */
} Blkdebug;

/* --- rules ------------------------------------------------------------------------------------------------ */

static void
add_error (Blkdebug *s, const VmqBlkdebugInjectErrorOptions *o)
{
  Rule rule = { .event = o->event, .state = o->state, .error = EIO, .sector = -1 };

  if (o->has_errno_)
    rule.error = (int) MIN (ABS (o->errno_), 4095);
  if (o->has_sector)
    rule.sector = o->sector;
  rule.once = o->has_once && o->once;
  rule.immediately = o->has_immediately && o->immediately;
  rule.kinds = o->has_iotype ? 1u << o->iotype
                             : 1u << VMQ_BLKDEBUG_IO_TYPE_READ | 1u << VMQ_BLKDEBUG_IO_TYPE_WRITE
                                   | 1u << VMQ_BLKDEBUG_IO_TYPE_WRITE_ZEROES | 1u << VMQ_BLKDEBUG_IO_TYPE_DISCARD
                                   | 1u << VMQ_BLKDEBUG_IO_TYPE_FLUSH;
  rule.active = o->event == VMQ_BLKDEBUG_EVENT_NONE;
  g_array_append_val (s->rules, rule);
}

static void
add_change (Blkdebug *s, const VmqBlkdebugSetStateOptions *o)
{
  Rule rule = { .event = o->event, .state = o->has_state ? o->state : 0, .new_state = o->new_state };

  g_array_append_val (s->rules, rule);
}

/* A section of the file as the object that blockdev-add would have. */
static json_object *
section_options (GKeyFile *file, const char *section)
{
  json_object *out = json_object_new_object ();
  g_auto (GStrv) keys = g_key_file_get_keys (file, section, NULL, NULL);

  for (char **key = keys; key && *key; key++)
    {
      g_autofree char *value = g_key_file_get_value (file, section, *key, NULL);
      size_t n = strlen (value);
      if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
        {
          value[n - 1] = 0;
          memmove (value, value + 1, n - 1);
        }
      json_object_object_add (out, *key, json_object_new_string (value));
    }
  return out;
}

/* Sections have one name several times: numbers make them different for the parser. */
static char *
number_sections (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GString *out = g_string_new (NULL);

  for (unsigned i = 0; lines[i]; i++)
    {
      const char *line = g_strstrip (lines[i]);
      size_t n = strlen (line);
      if (line[0] == '[' && line[n - 1] == ']')
        g_string_append_printf (out, "%.*s#%u]\n", (int) n - 1, line, i);
      else
        g_string_append_printf (out, "%s\n", line);
    }
  return g_string_free (out, FALSE);
}

static bool
read_section (Blkdebug *s, GKeyFile *file, const char *section, GError **error)
{
  bool is_error = g_str_has_prefix (section, "inject-error#");
  const VmSchemaType *type = is_error ? &vmq_type_blkdebuginjecterroroptions : &vmq_type_blkdebugsetstateoptions;
  json_object *options;
  void *value;

  if (!is_error && !g_str_has_prefix (section, "set-state#"))
    return vm_fail (error, "Unknown section '%.*s' in blkdebug's file", (int) strcspn (section, "#"), section);
  options = section_options (file, section);
  value = vm_schema_read (type, options, VM_SCHEMA_TEXT, NULL, error);
  json_object_put (options);
  if (value && is_error)
    add_error (s, value);
  else if (value)
    add_change (s, value);
  vm_schema_free (type, value);
  return value != NULL;
}

typedef struct ReadFile
{
  const char *name;
  char *text;
  GError *error;
} ReadFile;

static void
read_file (void *opaque)
{
  ReadFile *r = opaque;

  g_file_get_contents (r->name, &r->text, NULL, &r->error);
}

static bool
read_config (Blkdebug *s, const char *name, GError **error)
{
  ReadFile r = { name, NULL, NULL };
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) why = NULL;

  vm_fiber_work (read_file, &r);
  if (!r.text)
    {
      vm_fail (error, "Could not read blkdebug config file: %s", r.error->message);
      g_clear_error (&r.error);
      return false;
    }
  g_autofree char *text = number_sections (r.text);
  g_free (r.text);
  if (!g_key_file_load_from_data (file, text, strlen (text), G_KEY_FILE_NONE, &why) && *text)
    return vm_fail (error, "Could not parse blkdebug config file: %s", why->message);
  g_auto (GStrv) sections = g_key_file_get_groups (file, NULL);
  for (char **section = sections; *section; section++)
    if (!read_section (s, file, *section, error))
      return false;
  return true;
}

/* --- events ------------------------------------------------------------------------------------------------- */

static void
stop_free (void *opaque)
{
  Stop *stop = opaque;

  g_free (stop->tag);
  g_free (stop);
}

/* The first of TAG; NULL: of any. */
static Stop *
find_stop (const GPtrArray *stops, const char *tag)
{
  for (guint i = 0; i < stops->len; i++)
    if (!tag || !strcmp (((Stop *) stops->pdata[i])->tag, tag))
      return stops->pdata[i];
  return NULL;
}

static void
stop_here (Blkdebug *s, VmqBlkdebugEvent event)
{
  g_autoptr (GPtrArray) here = g_ptr_array_new_with_free_func (stop_free);

  for (guint i = s->breakpoints->len; vm_fiber_self () && i-- > 0;)
    {
      Stop *stop = s->breakpoints->pdata[i];
      if (stop->event != event)
        continue;
      g_ptr_array_add (here, g_ptr_array_steal_index (s->breakpoints, i));
      g_ptr_array_add (s->stopped, stop);
      g_print ("blkdebug: Suspended request '%s'\n", stop->tag);
    }
  /* Until each of its tags was told to go on. */
  for (guint i = 0; i < here->len; i++)
    for (Stop *stop = here->pdata[i]; !stop->resumed;)
      vm_fiber_queue_wait (&stop->request);
}

static bool
resume (Blkdebug *s, const char *tag)
{
  Stop *stop = find_stop (s->stopped, tag);

  if (!stop)
    return false;
  g_print ("blkdebug: Resuming request '%s'\n", stop->tag);
  g_ptr_array_remove (s->stopped, stop);
  stop->resumed = true;
  vm_fiber_queue_wake (&stop->request);
  return true;
}

static int
blkdebug_breakpoint (VmNode *node, VmBreak what, VmqBlkdebugEvent event, const char *tag)
{
  Blkdebug *s = node->state;
  Stop *stop;
  bool found = false;

  switch (what)
    {
    case VM_BREAK_SET:
      stop = g_new0 (Stop, 1);
      stop->event = event;
      stop->tag = g_strdup (tag);
      g_ptr_array_add (s->breakpoints, stop);
      return 0;
    case VM_BREAK_REMOVE:
      for (; (stop = find_stop (s->breakpoints, tag)); found = true)
        g_ptr_array_remove (s->breakpoints, stop);
      while (resume (s, tag))
        found = true;
      return found ? 0 : -ENOENT;
    case VM_BREAK_RESUME:
      return resume (s, tag) ? 0 : -ENOENT;
    case VM_BREAK_REACHED:
      return find_stop (s->stopped, tag) ? 0 : -ENOENT;
    }
  g_assert_not_reached ();
}

/* Who drains would wait for ever for what has stopped. */
static void
blkdebug_drain (VmNode *node, bool begin)
{
  while (begin && resume (node->state, NULL))
    ;
}

static void
blkdebug_event (VmNode *node, VmqBlkdebugEvent event)
{
  Blkdebug *s = node->state;
  int64_t state = s->state;
  bool first = true;

  for (guint i = 0; i < s->rules->len; i++)
    {
      Rule *rule = &g_array_index (s->rules, Rule, i);
      if (rule->event != event || (rule->state && rule->state != s->state))
        continue;
      if (rule->new_state)
        {
          state = rule->new_state;
          continue;
        }
      /* The errors of another step are over. */
      for (guint j = 0; first && j < s->rules->len; j++)
        {
          Rule *other = &g_array_index (s->rules, Rule, j);
          other->active = other->event == VMQ_BLKDEBUG_EVENT_NONE && !other->new_state;
        }
      first = false;
      rule->active = true;
    }
  s->state = state;
  stop_here (s, event);
}

static int
inject (VmNode *node, VmqBlkdebugIOType kind, uint64_t offset, uint64_t len)
{
  Blkdebug *s = node->state;

  for (guint i = 0; i < s->rules->len; i++)
    {
      const Rule *rule = &g_array_index (s->rules, Rule, i);
      uint64_t at = rule->sector < 0 ? 0 : (uint64_t) rule->sector << 9;
      if (!rule->active || !(rule->kinds & (1u << kind)))
        continue;
      if (rule->event == VMQ_BLKDEBUG_EVENT_NONE && rule->state && rule->state != s->state)
        continue;
      if (rule->sector >= 0 && (kind == VMQ_BLKDEBUG_IO_TYPE_FLUSH || at + 512 <= offset || at >= offset + len))
        continue;
      int error = rule->error;
      bool immediately = rule->immediately;
      if (rule->once)
        g_array_remove_index (s->rules, i);
      if (!immediately)
        vm_fiber_yield ();
      return -error;
    }
  return 0;
}

/* --- node ---------------------------------------------------------------------------------------------------- */

static bool
take_number (bool given, int64_t value, uint64_t align, uint64_t max, const char *name, uint64_t *to, GError **error)
{
  if (!given || !value)
    return true;
  if (value < 0 || (uint64_t) value > max || (uint64_t) value % align)
    return vm_fail (error, "Cannot meet constraints with %s %" PRId64, name, value);
  *to = (uint64_t) value;
  return true;
}

static bool
take_limits (VmNode *node, const VmqBlockdevOptionsBlkdebug *o, GError **error)
{
  VmBlockLimits *l = &node->limits;
  uint64_t align = MAX (l->alignment, 1), zero = l->zero_alignment, discard = l->discard_alignment;

  if (!take_number (o->has_align, o->align, 1, INT32_MAX, "align", &align, error))
    return false;
  if (!vm_is_pow2 (align))
    return vm_fail (error, "Cannot meet constraints with align %" PRIu64, align);
  if (!take_number (o->has_max_transfer, o->max_transfer, align, INT32_MAX, "max-transfer", &l->max_transfer, error)
      || !take_number (o->has_opt_write_zero, o->opt_write_zero, align, INT32_MAX, "opt-write-zero", &zero, error)
      || !take_number (o->has_max_write_zero, o->max_write_zero, MAX (align, zero), INT32_MAX, "max-write-zero",
                       &l->max_zero, error)
      || !take_number (o->has_opt_discard, o->opt_discard, align, INT32_MAX, "opt-discard", &discard, error)
      || !take_number (o->has_max_discard, o->max_discard, MAX (align, discard), INT32_MAX, "max-discard",
                       &l->max_discard, error))
    return false;
  l->alignment = (uint32_t) align;
  l->zero_alignment = (uint32_t) zero;
  l->discard_alignment = (uint32_t) discard;
  return true;
}

static unsigned
perms_of (const GArray *list)
{
  static const unsigned bits[] = { VM_PERM_READ, VM_PERM_WRITE, VM_PERM_UNCHANGED, VM_PERM_RESIZE };
  unsigned perms = 0;

  for (guint i = 0; list && i < list->len; i++)
    perms |= bits[g_array_index (list, int, i)];
  return perms;
}

static void
blkdebug_close (VmNode *node)
{
  Blkdebug *s = node->state;

  node->graph->watched--;
  g_array_unref (s->rules);
  g_ptr_array_unref (s->breakpoints);
  g_ptr_array_unref (s->stopped);
}

static bool
blkdebug_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsBlkdebug *o = opaque;
  Blkdebug *s = node->state;
  VmEdge *below;

  s->state = 1;
  s->take = perms_of (o->take_child_perms);
  s->unshare = perms_of (o->unshare_child_perms);
  s->rules = g_array_new (FALSE, TRUE, sizeof (Rule));
  s->breakpoints = g_ptr_array_new_with_free_func (stop_free);
  s->stopped = g_ptr_array_new ();
  node->graph->watched++;
  for (guint i = 0; o->inject_error && i < o->inject_error->len; i++)
    add_error (s, g_ptr_array_index (o->inject_error, i));
  for (guint i = 0; o->set_state && i < o->set_state->len; i++)
    add_change (s, g_ptr_array_index (o->set_state, i));
  if ((!o->config || read_config (s, o->config, error))
      && (below = vm_node_open_child (node, "image", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error)))
    {
      node->size = below->node->size;
      node->limits = below->node->limits;
      node->write_flags = VM_REQ_FUA;
      if (take_limits (node, o, error))
        return true;
    }
  blkdebug_close (node);
  return false;
}

static void
blkdebug_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                      unsigned *child_shared)
{
  const Blkdebug *s = node->state;

  *child_perm = perm | s->take;
  *child_shared = shared & ~s->unshare;
}

static VmNode *
image_of (const VmNode *node)
{
  return ((VmEdge *) g_ptr_array_index (node->children, 0))->node;
}

static int
blkdebug_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = inject (node, VMQ_BLKDEBUG_IO_TYPE_READ, offset, vec.size);

  return status < 0 ? status : vm_node_read (image_of (node), offset, vec, flags);
}

static int
blkdebug_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = inject (node, VMQ_BLKDEBUG_IO_TYPE_WRITE, offset, vec.size);

  return status < 0 ? status : vm_node_write (image_of (node), offset, vec, flags);
}

static int
blkdebug_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int status = inject (node, VMQ_BLKDEBUG_IO_TYPE_WRITE_ZEROES, offset, len);

  return status < 0 ? status : vm_node_write_zeroes (image_of (node), offset, len, flags);
}

static int
blkdebug_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  int status = inject (node, VMQ_BLKDEBUG_IO_TYPE_DISCARD, offset, len);

  return status < 0 ? status : vm_node_discard (image_of (node), offset, len);
}

static int
blkdebug_flush (VmNode *node)
{
  return inject (node, VMQ_BLKDEBUG_IO_TYPE_FLUSH, 0, 0);
}

static int
blkdebug_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  int status = inject (node, VMQ_BLKDEBUG_IO_TYPE_BLOCK_STATUS, offset, len);

  return status < 0 ? status : vm_node_status (image_of (node), offset, len, extent);
}

static int
blkdebug_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  VmNode *image = image_of (node);
  /* Growing takes space: it fails as writes there do. */
  int status = size > image->size ? inject (node, VMQ_BLKDEBUG_IO_TYPE_WRITE, image->size, size - image->size) : 0;

  if (status < 0)
    return vm_fail (error, "Could not resize the image: %s", g_strerror (-status)), status;
  status = vm_node_truncate (image, size, exact, prealloc, flags, error);
  node->size = image->size;
  return status;
}

/* "blkdebug:CONFIG:IMAGE", CONFIG may be empty; of blkverify "blkverify:RAW:IMAGE". */
static bool
blkdebug_parse_name (const char *name, json_object *options, GError **error)
{
  const char *config = name + strlen ("blkdebug:"), *colon = strchr (config, ':');
  g_autofree char *path = colon ? g_strndup (config, colon - config) : NULL;

  if (!colon)
    return vm_fail (error, "blkdebug requires both config file and image path");
  if (*path)
    json_object_object_add (options, "config", json_object_new_string (path));
  json_object *image = json_object_new_object ();
  json_object_object_add (image, "filename", json_object_new_string (colon + 1));
  json_object_object_add (options, "image", image);
  return true;
}

static const char *const blkdebug_schemes[] = { "blkdebug", NULL };

const VmBlockDriver vm_blkdebug_driver = {
  .name = "blkdebug",
  .help = "Errors as rules say",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (Blkdebug),
  .schemes = blkdebug_schemes,
  .parse_name = blkdebug_parse_name,
  .open = blkdebug_open,
  .close = blkdebug_close,
  .child_perms = blkdebug_child_perms,
  .event = blkdebug_event,
  .breakpoint = blkdebug_breakpoint,
  .drain = blkdebug_drain,
  .read = blkdebug_read,
  .write = blkdebug_write,
  .write_zeroes = blkdebug_write_zeroes,
  .discard = blkdebug_discard,
  .flush = blkdebug_flush,
  .status = blkdebug_status,
  .truncate = blkdebug_truncate,
};

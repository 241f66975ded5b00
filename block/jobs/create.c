/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The jobs create and amend: images as blockdev-create and x-blockdev-amend describe them. */
#include "block/create.h"
#include "block/jobs/copy.h"

typedef struct Create
{
  VmNode *node; /* to be amended */
  bool force;
  const VmBlockDriver *driver;
  VmCreateValues *values;
  char *name;   /* of a protocol's */
  VmNode *file; /* of a format's */
  uint64_t size;
} Create;

static bool
create_run (VmJob *job, GError **error)
{
  Create *c = job->state;
  bool ok;

  job->total = 1;
  ok = c->driver->create (job->graph, c->file, c->name, c->size, c->values, error);
  if (ok && c->file && vm_node_flush (c->file) < 0)
    ok = vm_fail (error, "Could not flush the image");
  job->done = ok;
  return ok;
}

static void
create_clean (VmJob *job)
{
  Create *c = job->state;

  g_clear_pointer (&c->values, vm_create_values_free);
  g_clear_pointer (&c->name, g_free);
  g_clear_pointer (&c->file, vm_node_unref); /* the roots keep it until they go */
}

static const VmJobClass create_class = { .type = VMQ_JOB_TYPE_CREATE, .run = create_run, .clean = create_clean };

/* Members have other names there than "-o" has. */
static char *
option_name (const char *member)
{
  return g_strdelimit (g_strdup (member), "-", '_');
}

static bool
set_value (Create *c, const char *name, json_object *value, GError **error)
{
  const char *text = json_object_get_string (value);

  if (json_object_is_type (value, json_type_boolean))
    text = json_object_get_boolean (value) ? "on" : "off";
  if (!strcmp (name, "version"))
    {
      bool old = !strcmp (text, "v2");
      return old || !strcmp (text, "v3") ? vm_create_values_set (c->values, "compat", old ? "0.10" : "1.1", error)
                                         : vm_fail (error, "Parameter 'version' does not accept value '%s'", text);
    }
  g_autofree char *option = !strcmp (name, "backing-fmt") ? g_strdup ("backing_fmt") : option_name (name);
  if (!vm_create_values_knows (c->values, option))
    {
      if (!vm_create_values_knows (c->values, name))
        return vm_fail (error, "Parameter '%s' is unexpected", name);
      return vm_create_values_set (c->values, name, text, error);
    }
  return vm_create_values_set (c->values, option, text, error);
}

/* "encrypt": {"format": "luks", "key-secret": ...} */
static bool
set_values (Create *c, const char *prefix, json_object *options, GError **error)
{
  static const char *const own[] = { "driver", "file", "size", "filename" };

  json_object_object_foreach (options, key, value)
  {
    bool skip = false;
    for (unsigned i = 0; !prefix && i < G_N_ELEMENTS (own); i++)
      skip |= !strcmp (key, own[i]);
    if (skip)
      continue;
    if (!prefix && !strcmp (key, "data-file"))
      return vm_fail (error, "Parameter 'data-file': not available in this build");
    g_autofree char *name = prefix ? g_strdup_printf ("%s.%s", prefix, key) : g_strdup (key);
    if (json_object_is_type (value, json_type_object) ? !set_values (c, name, value, error)
                                                      : !set_value (c, name, value, error))
      return false;
  }
  return true;
}

static VmNode *
find_file (VmBlockGraph *graph, json_object *file, GError **error)
{
  if (json_object_is_type (file, json_type_object))
    return vm_node_open (graph, file, VM_SCHEMA_JSON, 0, error);
  const char *name = json_object_get_string (file);
  VmNode *node = vm_node_find (graph, name);
  if (!node)
    vm_fail (error, "Cannot find device='' nor node-name='%s'", name);
  return node ? vm_node_ref (node) : NULL;
}

static bool
read_size (json_object *options, uint64_t *size, GError **error)
{
  json_object *value;

  if (!json_object_object_get_ex (options, "size", &value))
    return vm_fail (error, "Parameter 'size' is missing");
  if (!json_object_is_type (value, json_type_int) || json_object_get_int64 (value) < 0)
    return vm_fail (error, "Parameter 'size' expects uint64");
  *size = (uint64_t) json_object_get_int64 (value);
  return true;
}

static bool
prepare (VmJob *job, json_object *options, GError **error)
{
  Create *c = job->state;
  json_object *file = NULL;

  c->values = vm_create_values_new (c->driver, NULL, false);
  if (!read_size (options, &c->size, error) || !set_values (c, NULL, options, error))
    return false;
  if (c->driver->kind == VM_DRIVER_PROTOCOL)
    {
      if (!json_object_object_get_ex (options, "filename", &file))
        return vm_fail (error, "Parameter 'filename' is missing");
      c->name = g_strdup (json_object_get_string (file));
      return true;
    }
  if (!json_object_object_get_ex (options, "file", &file))
    return vm_fail (error, "Parameter 'file' is missing");
  c->file = find_file (job->graph, file, error);
  return c->file
         && vm_job_attach (job, c->file, "create", VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE,
                           VM_PERM_READ | VM_PERM_UNCHANGED, error);
}

VmJob *
vm_job_create (VmBlockGraph *graph, const char *id, json_object *options, GError **error)
{
  const VmBlockDriver *driver;
  json_object *name;
  VmJob *job;

  if (!json_object_is_type (options, json_type_object) || !json_object_object_get_ex (options, "driver", &name))
    {
      vm_fail (error, "Parameter 'driver' is missing");
      return NULL;
    }
  driver = vm_graph_find_driver (graph, json_object_get_string (name));
  if (!driver)
    {
      vm_fail (error, "Parameter 'driver' does not accept value '%s'", json_object_get_string (name));
      return NULL;
    }
  if (!driver->create)
    {
      vm_fail (error, "Driver does not support blockdev-create");
      return NULL;
    }
  job = vm_job_new (graph, id, &create_class, sizeof (Create), error);
  if (!job)
    return NULL;
  ((Create *) job->state)->driver = driver;
  job->auto_dismiss = false;
  if (prepare (job, options, error))
    return job;
  vm_job_free (job);
  return NULL;
}

/* --- amend ---------------------------------------------------------------------------------------------------- */

static void
amend_progress (void *opaque, uint64_t done, uint64_t total)
{
  VmJob *job = opaque;

  job->done = done;
  job->total = total;
}

static bool
amend_run (VmJob *job, GError **error)
{
  Create *c = job->state;

  return c->driver->amend (c->node, c->values, c->force, amend_progress, job, error);
}

static const VmJobClass amend_class = { .type = VMQ_JOB_TYPE_AMEND, .run = amend_run, .clean = create_clean };

/* Members of qcow2's "encrypt" are those of the options "encrypt.", but its format goes without saying. */
static bool
amend_values (Create *c, json_object *options, GError **error)
{
  json_object *encrypt, *format, *copy = NULL;
  bool ok;

  json_object_deep_copy (options, &copy, NULL);
  if (json_object_object_get_ex (copy, "encrypt", &encrypt) && json_object_object_get_ex (encrypt, "format", &format))
    {
      if (strcmp (json_object_get_string (format), "luks"))
        {
          json_object_put (copy);
          return vm_fail (error, "Only LUKS encryption can be amended");
        }
      json_object_object_del (encrypt, "format");
    }
  ok = set_values (c, NULL, copy, error);
  json_object_put (copy);
  return ok;
}

VmJob *
vm_job_amend (VmNode *node, const char *id, json_object *options, bool force, GError **error)
{
  const VmBlockDriver *driver = node->driver;
  json_object *name;
  VmJob *job = NULL;
  Create *c;

  if (!json_object_is_type (options, json_type_object) || !json_object_object_get_ex (options, "driver", &name))
    vm_fail (error, "Parameter 'driver' is missing");
  else if (strcmp (json_object_get_string (name), driver->name))
    vm_fail (error, "x-blockdev-amend doesn't support changing the block driver");
  else if (!driver->amend)
    vm_fail (error, "Driver does not support x-blockdev-amend");
  else
    job = vm_job_new (node->graph, id, &amend_class, sizeof (Create), error);
  if (!job)
    return NULL;
  c = job->state;
  c->driver = driver;
  c->node = node;
  c->force = force;
  c->values = vm_create_values_new (driver, NULL, true);
  job->auto_dismiss = false;
  if (amend_values (c, options, error) && vm_job_attach (job, node, "amend", VM_PERM_READ, VM_PERM_ALL, error))
    return job;
  vm_job_free (job);
  return NULL;
}

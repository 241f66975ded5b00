/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choosing an accelerator: in the order wished for, saying why one was passed over. */
#include "engine/base/log.h"
#include "engine/options/documented.h"
#include "engine/cpu/vcpu.h"
#include "engine/options/keyvals.h"

static const VmAccelOps *
find_ops (const VmAccelOps *const *table, const char *name)
{
  for (; *table; table++)
    if (!strcmp ((*table)->name, name))
      return *table;
  return NULL;
}

void
vm_accel_free (VmAccel *accel)
{
  VmType *type = accel->own_type;

  if (accel->env && accel->ops->finish)
    accel->ops->finish (accel);
  g_assert (g_atomic_int_get (&accel->parent.refs) == 1);
  vm_object_unref (&accel->parent);
  g_free ((char *) type->name);
  g_free (type);
}

/* The object of an accelerator with its settings; not started. */
static VmAccel *
accel_new (const VmAccelOps *ops, const VmKeyVals *props, GError **error)
{
  VmType *type = g_new0 (VmType, 1);

  *type = (VmType) { .name = g_strdup_printf ("%s-accel", ops->name), .parent = &vm_object_type,
                     .size = MAX (ops->size, sizeof (VmAccel)), .help = ops->help, .props = ops->props, .klass = ops };
  VmAccel *accel = (VmAccel *) vm_object_new (type);
  accel->ops = ops;
  accel->own_type = type;
  for (unsigned i = 0; props && i < props->pairs->len; i++)
    {
      VmKeyValue *pair = props->pairs->pdata[i];

      pair->used = true;
      bool known = !strcmp (pair->key, "accel") || vm_type_find_prop (type, pair->key, NULL);
      if ((!known && !strcmp (ops->name, "kvm") && vm_documented_explain ("accel", pair->key, pair->value, error))
          || (strcmp (pair->key, "accel") && !vm_object_set (&accel->parent, pair->key, pair->value, error)))
        {
          vm_accel_free (accel);
          return NULL;
        }
    }
  return accel;
}

typedef enum Outcome { OUTCOME_OK, OUTCOME_NEXT, OUTCOME_FATAL } Outcome;

static Outcome
try_one (const VmAccelOps *const *table, const char *name, const VmKeyVals *props, VmEnv *env, VmAccel **accel,
         GError **error)
{
  const VmAccelOps *ops = find_ops (table, name);
  g_autoptr (GError) why = NULL;

  if (!ops)
    {
      vm_fail (error, "invalid accelerator %s", name);
      return OUTCOME_NEXT;
    }
  *accel = accel_new (ops, props, error);
  if (!*accel)
    return OUTCOME_FATAL;
  if ((!ops->probe || ops->probe (&why)) && (!ops->init || ops->init (*accel, env, &why)))
    {
      (*accel)->env = env;
      return OUTCOME_OK;
    }
  vm_fail (error, "failed to initialize %s: %s", name, why ? why->message : "unknown reason");
  g_clear_pointer (accel, vm_accel_free);
  return OUTCOME_NEXT;
}

VmAccel *
vm_accel_choose (const VmAccelOps *const *table, const VmAccelChoice *choices, size_t n, VmEnv *env, GError **error)
{
  g_autoptr (GError) failed = NULL;

  for (size_t i = 0; i < n; i++)
    {
      g_auto (GStrv) names = g_strsplit (choices[i].name, ":", -1);

      for (char **name = names; *name; name++)
        {
          VmAccel *accel = NULL;

          if (failed)
            {
              vm_report_error ("%s", failed->message);
              g_clear_error (&failed);
            }
          Outcome outcome = try_one (table, *name, choices[i].props, env, &accel, &failed);
          if (outcome == OUTCOME_OK)
            {
              if (i > 0 || name > names)
                vm_report_error ("falling back to %s", *name);
              return accel;
            }
          if (outcome == OUTCOME_FATAL)
            {
              g_propagate_error (error, g_steal_pointer (&failed));
              return NULL;
            }
        }
    }
  if (failed)
    g_propagate_error (error, g_steal_pointer (&failed));
  else
    vm_fail (error, "no accelerator given");
  return NULL;
}

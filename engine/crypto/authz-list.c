/* SPDX-License-Identifier: GPL-3.0-or-later */
/* authz-list and authz-list-file: rules in order, the first that matches decides. */
#include <errno.h>
#include <sys/stat.h>

#include "engine/crypto/authz.h"
#include "engine/options/keyvals.h"

#define RULES_MAX 10000

typedef enum Policy
{
  POLICY_DENY,
  POLICY_ALLOW
} Policy;
typedef enum Format
{
  FORMAT_EXACT,
  FORMAT_GLOB
} Format;

static const char *const policies[] = { "deny", "allow", NULL };
static const char *const formats[] = { "exact", "glob", NULL };

typedef struct Rule
{
  char *match;
  int policy; /* -1: not said */
  int format;
} Rule;

typedef struct RuleList
{
  int policy;    /* when none matches */
  GArray *rules; /* of Rule; NULL: none */
} RuleList;

static void
rules_clear (RuleList *list)
{
  for (guint i = 0; list->rules && i < list->rules->len; i++)
    g_free (g_array_index (list->rules, Rule, i).match);
  g_clear_pointer (&list->rules, g_array_unref);
}

static bool
set_choice (int *field, const char *name, const char *const *names, const char *value, GError **error)
{
  for (int i = 0; names[i]; i++)
    if (!strcmp (names[i], value))
      {
        *field = i;
        return true;
      }
  return vm_fail (error, "Parameter '%s' does not accept value '%s'", name, value);
}

/* "rules.N.match" and so on. Rules come one after the other. */
static bool
rules_set (RuleList *list, const char *key, const char *value, bool *mine, GError **error)
{
  char *end;

  *mine = g_str_has_prefix (key, "rules.");
  if (!*mine)
    return true;
  const char *number = key + strlen ("rules.");
  guint64 n = g_ascii_strtoull (number, &end, 10);
  if (end == number || *end != '.' || n >= RULES_MAX)
    return vm_fail (error, "Invalid parameter '%s'", key);
  if (!list->rules)
    list->rules = g_array_new (FALSE, FALSE, sizeof (Rule));
  while (list->rules->len <= n)
    {
      const Rule fresh = { .policy = -1 };
      g_array_append_val (list->rules, fresh);
    }
  Rule *rule = &g_array_index (list->rules, Rule, n);
  const char *field = end + 1;
  if (!strcmp (field, "match"))
    {
      g_free (rule->match);
      rule->match = g_strdup (value);
      return true;
    }
  if (!strcmp (field, "policy"))
    return set_choice (&rule->policy, "policy", policies, value, error);
  if (!strcmp (field, "format"))
    return set_choice (&rule->format, "format", formats, value, error);
  return vm_fail (error, "Parameter '%s' is unexpected", key);
}

static bool
rules_check (const RuleList *list, GError **error)
{
  for (guint i = 0; list->rules && i < list->rules->len; i++)
    {
      const Rule *rule = &g_array_index (list->rules, Rule, i);

      if (!rule->match || rule->policy < 0)
        return vm_fail (error, "Parameter 'rules[%u].%s' is missing", i, rule->match ? "policy" : "match");
    }
  return true;
}

static bool
rules_allow (const RuleList *list, const char *identity)
{
  for (guint i = 0; list->rules && i < list->rules->len; i++)
    {
      const Rule *rule = &g_array_index (list->rules, Rule, i);
      bool hit = rule->format == FORMAT_GLOB ? g_pattern_match_simple (rule->match, identity)
                                             : !strcmp (rule->match, identity);
      if (hit)
        return rule->policy == POLICY_ALLOW;
    }
  return list->policy == POLICY_ALLOW;
}

/* --- authz-list ---------------------------------------------------------------------------------- */

typedef struct AuthzList
{
  VmObject parent;
  RuleList list;
} AuthzList;

static bool
list_set (VmObject *obj, const char *key, const char *value, bool *mine, GError **error)
{
  return rules_set (&((AuthzList *) obj)->list, key, value, mine, error);
}

static bool
list_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  return rules_check (&((AuthzList *) obj)->list, error);
}

static bool
list_allows (VmObject *obj, const char *identity, bool *allowed, GError **error)
{
  *allowed = rules_allow (&((AuthzList *) obj)->list, identity);
  return true;
}

static void
list_finalize (VmObject *obj)
{
  rules_clear (&((AuthzList *) obj)->list);
}

static const VmAuthzClass list_class = {
  .user = { .complete = list_complete, .set = list_set },
  .allows = list_allows,
};

/* Written as rules.0.match=...; what can be read here is how many there are. */
static char *
get_rules (VmObject *obj, const void *field)
{
  GArray *const *rules = field;

  return *rules ? g_strdup_printf ("%u rules", (*rules)->len) : NULL;
}

static const VmPropCustom rules_custom = { .type_name = "QAuthZListRule", .get = get_rules };

static const VmProp list_props[]
    = { VM_PROP_ENUMERATED ("policy", AuthzList, list.policy, POLICY_DENY, policies, "when no rule matches"),
        VM_PROP_CUSTOM_KIND ("rules", AuthzList, list.rules, &rules_custom, NULL,
                             "rules.N.match, .policy (allow or deny) and .format (exact or glob)"),
        { 0 } };

const VmType vm_authz_list_type = {
  .name = "authz-list",
  .parent = &vm_authz_type,
  .size = sizeof (AuthzList),
  .help = "rules in order",
  .props = list_props,
  .klass = &list_class,
  .finalize = list_finalize,
};

/* --- authz-list-file ----------------------------------------------------------------------------- */

typedef struct AuthzFile
{
  VmObject parent;
  char *filename;
  bool refresh;
  RuleList list;
  struct stat seen; /* the file as it was read */
} AuthzFile;

static bool
file_load (AuthzFile *s, GError **error)
{
  g_autoptr (VmKeyVals) pairs = vm_keyvals_new ();
  g_autofree char *text = NULL;
  RuleList fresh = { .policy = POLICY_DENY };
  bool mine, ok = true;

  if (stat (s->filename, &s->seen) < 0)
    return vm_fail (error, "Unable to read '%s': %s", s->filename, g_strerror (errno));
  if (!g_file_get_contents (s->filename, &text, NULL, error) || !vm_keyvals_parse_json (pairs, text, error))
    {
      g_prefix_error (error, "Unable to load authorization rules from '%s': ", s->filename);
      return false;
    }
  for (guint i = 0; ok && i < pairs->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (pairs->pairs, i);

      if (!strcmp (pair->key, "policy"))
        ok = set_choice (&fresh.policy, "policy", policies, pair->value, error);
      else
        ok = rules_set (&fresh, pair->key, pair->value, &mine, error)
             && (mine || vm_fail (error, "Parameter '%s' is unexpected", pair->key));
    }
  if (!ok || !rules_check (&fresh, error))
    {
      rules_clear (&fresh);
      g_prefix_error (error, "'%s': ", s->filename);
      return false;
    }
  rules_clear (&s->list);
  s->list = fresh;
  return true;
}

static bool
file_changed (const AuthzFile *s)
{
  struct stat now;

  return stat (s->filename, &now) < 0 || now.st_ino != s->seen.st_ino || now.st_size != s->seen.st_size
         || now.st_mtim.tv_sec != s->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != s->seen.st_mtim.tv_nsec;
}

static bool
file_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  AuthzFile *s = (AuthzFile *) obj;

  return s->filename ? file_load (s, error) : vm_fail (error, "Parameter 'filename' is missing");
}

/* A file that has become unreadable allows nobody: old rules may be the ones somebody wanted gone. */
static bool
file_allows (VmObject *obj, const char *identity, bool *allowed, GError **error)
{
  AuthzFile *s = (AuthzFile *) obj;

  if (s->refresh && file_changed (s) && !file_load (s, error))
    {
      s->seen = (struct stat){ 0 }; /* look again next time */
      return false;
    }
  *allowed = rules_allow (&s->list, identity);
  return true;
}

static void
file_finalize (VmObject *obj)
{
  rules_clear (&((AuthzFile *) obj)->list);
}

static const VmAuthzClass file_class = { .user = { .complete = file_complete }, .allows = file_allows };

static const VmProp file_props[]
    = { VM_PROP_STRING ("filename", AuthzFile, filename, NULL, "JSON file with policy and rules"),
        VM_PROP ("refresh", AuthzFile, refresh, true, "read it again when it has changed"),
        { 0 } };

const VmType vm_authz_list_file_type = {
  .name = "authz-list-file",
  .parent = &vm_authz_type,
  .size = sizeof (AuthzFile),
  .help = "rules of a file",
  .props = file_props,
  .klass = &file_class,
  .finalize = file_finalize,
};

/* -object spells it so. */
const VmType vm_authz_listfile_type = {
  .name = "authz-listfile",
  .parent = &vm_authz_list_file_type,
  .size = sizeof (AuthzFile),
  .help = "rules of a file",
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options out of argv, out of configuration files and out of machine files: sections 1 and 12 of the option rules. */
#include "engine/options/tokens.h"

#include "engine/options/machine-file.h"

#include <errno.h>

void
vm_token_free (VmToken *token)
{
  g_free (token->option);
  g_free (token->arg);
  g_free (token->typed);
  g_clear_error (&token->error);
  g_free (token);
}

static VmToken *
add_token (GPtrArray *tokens, const char *name, const char *option, const char *arg, const char *typed)
{
  VmToken *token = g_new0 (VmToken, 1);

  token->name = name;
  token->option = g_strdup (option);
  token->arg = g_strdup (arg);
  if (typed)
    token->typed = g_strdup (typed);
  else if (arg && arg != option)
    token->typed = g_strdup_printf ("%s %s", option, arg);
  else
    token->typed = g_strdup (option);
  g_ptr_array_add (tokens, token);
  return token;
}

/* The name behind one or two dashes; NULL when TEXT is none. */
static const char *
option_name (const char *text)
{
  const char *name = text + (text[1] == '-' ? 2 : 1);

  return *name && *name != '-' ? name : NULL;
}

/* "--machine dir/file": a board's name holds no slash, and its list is not one. */
bool
vm_token_is_machine_file (const char *option, const char *arg)
{
  size_t first = arg ? strcspn (arg, ",=/") : 0;

  return arg && !strcmp (option, "--machine")
         && (arg[first] == '/' || (!arg[first] && g_str_has_suffix (arg, ".conf")));
}

static bool
add_machine_file (GPtrArray *tokens, const char *path, VmReadFile read, GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  return read (path, &text, &len, error) && vm_tokens_from_machine_file (tokens, path, text, len, error);
}

bool
vm_tokens_from_argv (GPtrArray *tokens, int argc, char *const *argv, VmReadFile read, char **machine_file,
                     GError **error)
{
  for (int i = 1; i < argc; i++)
    {
      if (argv[i][0] != '-')
        {
          add_token (tokens, "disk_image", argv[i], argv[i], argv[i]);
          continue;
        }
      const char *name = option_name (argv[i]);
      const VmOptionInfo *info = name ? vm_option_find (name) : NULL;
      if (!info)
        return vm_fail (error, "%s: invalid option", argv[i]);
      if (info->has_arg && i + 1 >= argc)
        return vm_fail (error, "%s: requires an argument", argv[i]);
      const char *arg = info->has_arg ? argv[i + 1] : NULL;
      if (!vm_token_is_machine_file (argv[i], arg))
        add_token (tokens, info->name, argv[i], arg, NULL);
      else if (!add_machine_file (tokens, arg, read, error))
        return false;
      else
        {
          g_free (*machine_file);
          *machine_file = g_strdup (arg);
        }
      i += info->has_arg;
    }
  return true;
}

bool
vm_tokens_from_machine_file (GPtrArray *tokens, const char *path, const char *text, gsize len, GError **error)
{
  g_autoptr (VmMachineFile) file = vm_machine_file_parse (text, len, error);

  if (!file)
    {
      g_prefix_error (error, "%s:", path);
      return false;
    }
  for (guint i = 0; i < vm_machine_file_n_lines (file); i++)
    {
      const char *option = vm_machine_file_option (file, i), *arg = vm_machine_file_argument (file, i);
      if (!option)
        continue;
      if (!*option)
        {
          add_token (tokens, "disk_image", arg, arg, arg);
          continue;
        }
      const char *name = option_name (option);
      const VmOptionInfo *info = name ? vm_option_find (name) : NULL;
      unsigned number = vm_machine_file_line_number (file, i);
      if (!info)
        return vm_fail (error, "%s:%u: %s: invalid option", path, number, option);
      if (info->has_arg && !arg)
        return vm_fail (error, "%s:%u: %s: requires an argument", path, number, option);
      if (!info->has_arg && arg)
        return vm_fail (error, "%s:%u: %s: takes no argument", path, number, option);
      if (vm_token_is_machine_file (option, arg))
        return vm_fail (error, "%s:%u: %s: a machine file names no other", path, number, option);
      add_token (tokens, info->name, option, arg, NULL);
    }
  return true;
}

/* --- -readconfig --- */

/* Groups and the options whose list they are; those with ids may be there several times. */
static const struct
{
  const char *group, *option;
  bool no_set; /* section 6: -set cannot edit it */
} groups[] = {
  { "drive", "drive", false },       { "device", "device", false },  { "netdev", "netdev", false },
  { "nic", "nic", false },           { "net", "net", false },        { "chardev", "chardev", false },
  { "mon", "mon", false },           { "machine", "machine", true }, { "memory", "m", false },
  { "smp-opts", "smp", true },       { "boot-opts", "boot", true },  { "global", "global", false },
  { "name", "name", false },         { "object", "object", true },   { "accel", "accel", false },
  { "numa", "numa", false },         { "rtc", "rtc", false },        { "msg", "msg", false },
  { "action", "action", false },     { "icount", "icount", false },  { "spice", "spice", false },
  { "vnc", "vnc", false },           { "fw_cfg", "fw_cfg", false },  { "option-rom", "option-rom", false },
  { "fsdev", "fsdev", false },       { "virtfs", "virtfs", false },  { "tpmdev", "tpmdev", false },
  { "audiodev", "audiodev", true },  { "iscsi", "iscsi", false },    { "trace", "trace", false },
  { "sandbox", "sandbox", false },   { "add-fd", "add-fd", false },  { "overcommit", "overcommit", false },
  { "run-with", "run-with", false }, { "acpi", "acpitable", false }, { "smbios", "smbios", false },
  { "plugin", "plugin", false },
};

static int
find_group (const char *name)
{
  for (size_t i = 0; i < G_N_ELEMENTS (groups); i++)
    if (!strcmp (groups[i].group, name))
      return (int) i;
  return -1;
}

static void
append_pair (GString *out, const char *key, const char *value, gssize len)
{
  g_string_append_printf (out, "%s%s=", out->len ? "," : "", key);
  for (const char *p = value; len < 0 ? *p != 0 : p < value + len; p++)
    {
      g_string_append_c (out, *p);
      if (*p == ',')
        g_string_append_c (out, ',');
    }
}

typedef struct Section
{
  GPtrArray *tokens;
  const char *path;
  const char *option; /* NULL: before the first group */
  GString *list;
  unsigned line; /* of the last key */
} Section;

static void
end_section (Section *s)
{
  g_autofree char *typed = g_strdup_printf (":%s:%u", s->path, s->line);

  if (s->option)
    {
      g_autofree char *option = g_strdup_printf ("-%s", s->option);
      add_token (s->tokens, s->option, option, s->list->str, typed);
    }
  s->option = NULL;
  g_string_truncate (s->list, 0);
}

static void
fail_section (Section *s, unsigned line, const char *message)
{
  g_autofree char *typed = g_strdup_printf (":%s:%u", s->path, line);
  VmToken *token = add_token (s->tokens, "readconfig", "-readconfig", s->path, typed);

  token->error = g_error_new_literal (VM_ERROR, VM_ERROR_FAILED, message);
}

#define WORD_MAX 63
#define LINE_MAX_LENGTH 1023

/* "[group]" or "[group "id"]". */
static bool
read_group (Section *s, const char *line, unsigned number)
{
  const char *name = line + 1;
  size_t len = strcspn (name, " \t]\"");
  const char *p = name + len;
  g_autofree char *group = g_strndup (name, len), *id = NULL;

  if (!len || len > WORD_MAX)
    return false;
  p += strspn (p, " \t");
  if (*p == '"')
    {
      size_t id_len = strcspn (p + 1, "\"");
      if (!id_len || id_len > WORD_MAX || p[1 + id_len] != '"')
        return false;
      id = g_strndup (p + 1, id_len);
      p += id_len + 2;
    }
  if (*p != ']')
    return false;
  int index = find_group (group);
  end_section (s);
  s->line = number;
  if (index < 0)
    {
      g_autofree char *message = g_strdup_printf ("There is no option group '%s'", group);
      fail_section (s, number, message);
      return true;
    }
  s->option = groups[index].option;
  if (id)
    append_pair (s->list, "id", id, -1);
  return true;
}

/* "key = "value"": blanks around "=" and the quotes have to be. */
static bool
read_pair (Section *s, const char *line, unsigned number)
{
  const char *key = line + strspn (line, " \t");
  size_t len = strcspn (key, " \t=");
  const char *p = key + len;

  if (!len || len > WORD_MAX || !strchr (" \t", *p) || !*p)
    return false;
  p += strspn (p, " \t");
  if (*p++ != '=' || !*p || !strchr (" \t", *p))
    return false;
  p += strspn (p, " \t");
  if (*p++ != '"')
    return false;
  size_t value_len = strcspn (p, "\"");
  if (p[value_len] != '"' || p[value_len + 1 + strspn (p + value_len + 1, " \t")])
    return false;
  g_autofree char *name = g_strndup (key, len);
  append_pair (s->list, name, p, (gssize) value_len);
  s->line = number;
  return true;
}

void
vm_tokens_from_config (GPtrArray *tokens, const char *path, const char *text, gsize len)
{
  g_autofree char *copy = g_strndup (text, len); /* ends at a NUL: nothing after it is text */
  g_auto (GStrv) lines = g_strsplit (copy, "\n", -1);
  g_autoptr (GString) list = g_string_new (NULL);
  Section s = { tokens, path, NULL, list, 0 };

  for (unsigned i = 0; lines[i]; i++)
    {
      char *line = lines[i];
      g_strchomp (line);
      if (!*line || *line == '#')
        continue;
      bool ok = strlen (line) <= LINE_MAX_LENGTH
                && (*line == '[' ? read_group (&s, line, i + 1) : !s.option || read_pair (&s, line, i + 1));
      if (ok && (*line == '[' || s.option))
        continue;
      bool orphan = ok && !s.option;
      end_section (&s);
      fail_section (&s, i + 1, orphan ? "no group defined" : "parse error");
      return;
    }
  end_section (&s);
}

/* --- -set --- */

static bool
has_id (const VmToken *token, const char *id)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!token->arg || *token->arg == '{' || !vm_keyvals_parse (list, token->arg, "", 0, NULL)) /* says so later */
    return false;
  return !g_strcmp0 (vm_keyvals_get (list, "id"), id);
}

/* "group.id.key=value" edits an option that came before. */
static bool
apply_set (const GPtrArray *tokens, guint upto, const char *arg, GError **error)
{
  size_t dot1 = strcspn (arg, ".="), dot2, equals;

  if (arg[dot1] != '.')
    return vm_fail (error, "can't parse: \"%s\"", arg);
  const char *id = arg + dot1 + 1;
  dot2 = strcspn (id, ".=");
  const char *key = id + dot2 + 1;
  if (id[dot2] != '.' || (equals = strcspn (key, "="), key[equals] != '='))
    return vm_fail (error, "can't parse: \"%s\"", arg);
  g_autofree char *group = g_strndup (arg, dot1), *name = g_strndup (id, dot2), *k = g_strndup (key, equals);
  int index = find_group (group);
  if (index < 0)
    return vm_fail (error, "There is no option group '%s'", group);
  if (groups[index].no_set)
    return vm_fail (error, "-set is not supported with %s", group);
  for (guint i = 0; i < upto; i++)
    {
      VmToken *token = g_ptr_array_index (tokens, i);
      if (token->error || strcmp (token->name, groups[index].option) != 0 || !has_id (token, name))
        continue;
      g_autoptr (GString) list = g_string_new (token->arg);
      append_pair (list, k, key + equals + 1, -1);
      g_free (token->arg);
      token->arg = g_strdup (list->str);
      return true;
    }
  return vm_fail (error, "there is no %s \"%s\" defined", group, name);
}

void
vm_tokens_expand (GPtrArray *tokens, const char *machine_file, VmReadFile read)
{
  g_autofree char *folder = machine_file ? g_path_get_dirname (machine_file) : NULL;
  g_autoptr (GPtrArray) old = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_token_free);

  for (guint i = 0; i < tokens->len; i++)
    g_ptr_array_add (old, g_ptr_array_index (tokens, i));
  g_ptr_array_set_free_func (tokens, NULL);
  g_ptr_array_set_size (tokens, 0);
  g_ptr_array_set_free_func (tokens, (GDestroyNotify) vm_token_free);
  while (old->len)
    {
      VmToken *token = g_ptr_array_steal_index (old, 0);
      bool is_config = !strcmp (token->name, "readconfig") && !token->error;
      g_autofree char *text = NULL, *path = NULL;
      gsize len;
      if (is_config)
        path = folder && *token->arg != '/' ? g_build_filename (folder, token->arg, NULL) : g_strdup (token->arg);
      if (is_config && read (path, &text, &len, &token->error))
        {
          vm_tokens_from_config (tokens, token->arg, text, len);
          vm_token_free (token);
          continue;
        }
      if (!strcmp (token->name, "set") && !token->error)
        apply_set (tokens, tokens->len, token->arg, &token->error);
      g_ptr_array_add (tokens, token);
    }
}

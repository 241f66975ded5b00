/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine files: reading, editing in place, writing. */
#include "engine/options/machine-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_LIMIT (1u << 20)

typedef struct Line
{
  char *raw;    /* with its line end, which the last line may lack */
  char *option; /* see vm_machine_file_option() */
  char *argument;
} Line;

struct VmMachineFile
{
  GPtrArray *lines; /* Line * */
};

static void
line_free (gpointer data)
{
  Line *line = data;

  g_free (line->raw);
  g_free (line->option);
  g_free (line->argument);
  g_free (line);
}

VmMachineFile *
vm_machine_file_new (void)
{
  VmMachineFile *file = g_new0 (VmMachineFile, 1);

  file->lines = g_ptr_array_new_with_free_func (line_free);
  return file;
}

void
vm_machine_file_free (VmMachineFile *file)
{
  if (!file)
    return;
  g_ptr_array_unref (file->lines);
  g_free (file);
}

/* --- reading --- */

/* How long the line end at the end of TEXT is: "\n", "\r\n" or none. */
static size_t
line_end (const char *text, size_t len)
{
  if (!len || text[len - 1] != '\n')
    return 0;
  return len > 1 && text[len - 2] == '\r' ? 2 : 1;
}

/* The text of a line whose continuations are joined. */
static char *
joined (const char *raw)
{
  GString *out = g_string_new (NULL);

  for (const char *p = raw; *p;)
    {
      size_t len = strcspn (p, "\n");
      len += p[len] == '\n';
      size_t end = line_end (p, len), text = len - end;
      bool goes_on = end && text && p[text - 1] == '\\' && p[len];
      g_string_append_len (out, p, (gssize) (goes_on ? text - 1 : text));
      p += len;
    }
  return g_string_free (out, FALSE);
}

static void
split (Line *line)
{
  g_autofree char *text = joined (line->raw);
  char *start = text + strspn (text, " \t");

  if (!*start || *start == '#')
    return;
  if (*start != '-')
    {
      line->option = g_strdup ("");
      line->argument = g_strdup (start);
      return;
    }
  size_t len = strcspn (start, " \t");
  const char *argument = start + len + strspn (start + len, " \t");
  line->option = g_strndup (start, len);
  line->argument = *argument ? g_strdup (argument) : NULL;
}

/* One line of the file with those that continue it: its length. Comments are not continued. */
static size_t
take_line (const char *text)
{
  size_t total = 0;
  bool comment = text[strspn (text, " \t")] == '#';

  for (;;)
    {
      const char *p = text + total;
      size_t len = strcspn (p, "\n");
      len += p[len] == '\n';
      size_t end = line_end (p, len);
      total += len;
      if (comment || !end || len == end || p[len - end - 1] != '\\' || !text[total])
        return total;
    }
}

VmMachineFile *
vm_machine_file_parse (const char *text, gsize len, GError **error)
{
  g_autoptr (VmMachineFile) file = vm_machine_file_new ();
  unsigned number = 1;

  if (len > SIZE_LIMIT)
    {
      vm_fail (error, "1: a machine file of more than %u bytes", SIZE_LIMIT);
      return NULL;
    }
  const char *nul = memchr (text, 0, len);
  if (nul || !g_utf8_validate (text, (gssize) len, NULL))
    {
      const char *bad = nul;
      if (!nul)
        g_utf8_validate (text, (gssize) len, &bad);
      for (const char *p = text; p < bad; p++)
        number += *p == '\n';
      vm_fail (error, "%u: this is not UTF-8 text", number);
      return NULL;
    }
  g_autofree char *copy = g_strndup (text, len);
  for (const char *p = copy; *p;)
    {
      Line *line = g_new0 (Line, 1);
      size_t n = take_line (p);
      line->raw = g_strndup (p, n);
      split (line);
      g_ptr_array_add (file->lines, line);
      p += n;
    }
  return g_steal_pointer (&file);
}

VmMachineFile *
vm_machine_file_load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, error))
    return NULL;
  VmMachineFile *file = vm_machine_file_parse (text, len, error);
  if (!file)
    g_prefix_error (error, "%s:", path);
  return file;
}

/* --- looking --- */

static Line *
get_line (const VmMachineFile *file, guint line)
{
  return g_ptr_array_index (file->lines, line);
}

guint
vm_machine_file_n_lines (const VmMachineFile *file)
{
  return file->lines->len;
}

unsigned
vm_machine_file_line_number (const VmMachineFile *file, guint line)
{
  unsigned number = 1;

  for (guint i = 0; i < line && i < file->lines->len; i++)
    for (const char *p = get_line (file, i)->raw; *p; p++)
      number += *p == '\n';
  return number;
}

const char *
vm_machine_file_option (const VmMachineFile *file, guint line)
{
  return get_line (file, line)->option;
}

const char *
vm_machine_file_argument (const VmMachineFile *file, guint line)
{
  return get_line (file, line)->argument;
}

int
vm_machine_file_find (const VmMachineFile *file, const char *name, guint from)
{
  for (guint i = from; i < file->lines->len; i++)
    {
      const char *option = get_line (file, i)->option;
      if (option && *option && !strcmp (option + strspn (option, "-"), name))
        return (int) i;
    }
  return -1;
}

char *
vm_machine_file_to_text (const VmMachineFile *file)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < file->lines->len; i++)
    g_string_append (out, get_line (file, i)->raw);
  return g_string_free (out, FALSE);
}

/* --- editing --- */

/* What the neighbours end their lines with. */
static const char *
usual_end (const VmMachineFile *file)
{
  for (guint i = 0; i < file->lines->len; i++)
    {
      const char *raw = get_line (file, i)->raw;
      size_t end = line_end (raw, strlen (raw));
      if (end)
        return end == 2 ? "\r\n" : "\n";
    }
  return "\n";
}

static Line *
make_line (const VmMachineFile *file, const char *option, const char *argument, GError **error)
{
  Line *line;

  if (*option ? *option != '-' || strpbrk (option, " \t\r\n\\") != NULL
              : !argument || *argument == '#' || *argument == '-')
    {
      vm_fail (error, "'%s' cannot stand in a machine file as an option", *option ? option : argument ? argument : "");
      return NULL;
    }
  if (argument
      && (strpbrk (argument, "\r\n") || !*argument || strchr (" \t", *argument) || g_str_has_suffix (argument, "\\")
          || !g_utf8_validate (argument, -1, NULL)))
    {
      vm_fail (error,
               "%s: a machine file cannot hold this argument: it is empty, begins with a blank, ends with a "
               "backslash, has a line break in it or is not UTF-8",
               *option ? option : "disk image");
      return NULL;
    }
  line = g_new0 (Line, 1);
  line->raw = g_strconcat (option, *option && argument ? " " : "", argument ? argument : "", usual_end (file), NULL);
  line->option = g_strdup (option);
  line->argument = g_strdup (argument);
  return line;
}

/* A line that comes after the last one needs that one to end. */
static void
end_last_line (VmMachineFile *file)
{
  Line *last = file->lines->len ? get_line (file, file->lines->len - 1) : NULL;

  if (last && !line_end (last->raw, strlen (last->raw)))
    {
      char *raw = g_strconcat (last->raw, usual_end (file), NULL);
      g_free (last->raw);
      last->raw = raw;
    }
}

bool
vm_machine_file_set (VmMachineFile *file, guint index, const char *option, const char *argument, GError **error)
{
  Line *line = make_line (file, option, argument, error);

  if (!line)
    return false;
  line_free (get_line (file, index));
  file->lines->pdata[index] = line;
  return true;
}

static void
insert_line (VmMachineFile *file, guint before, Line *line)
{
  if (before >= file->lines->len)
    end_last_line (file);
  g_ptr_array_insert (file->lines, (int) MIN (before, file->lines->len), line);
}

bool
vm_machine_file_insert (VmMachineFile *file, guint before, const char *option, const char *argument, GError **error)
{
  Line *line = make_line (file, option, argument, error);

  if (line)
    insert_line (file, before, line);
  return line != NULL;
}

void
vm_machine_file_remove (VmMachineFile *file, guint line)
{
  g_ptr_array_remove_index (file->lines, line);
}

/* --- keys of the window --- */

/* The value in "#: KEY = value"; NULL: another line. */
static char *
key_value (const char *raw, const char *key)
{
  if (!g_str_has_prefix (raw, "#:"))
    return NULL;
  const char *p = raw + 2 + strspn (raw + 2, " \t");
  if (!g_str_has_prefix (p, key))
    return NULL;
  p += strlen (key);
  p += strspn (p, " \t");
  if (*p++ != '=')
    return NULL;
  return g_strstrip (g_strdup (p));
}

static int
find_key (const VmMachineFile *file, const char *key)
{
  for (guint i = 0; i < file->lines->len; i++)
    {
      g_autofree char *value = key_value (get_line (file, i)->raw, key);
      if (value)
        return (int) i;
    }
  return -1;
}

char *
vm_machine_file_get_key (const VmMachineFile *file, const char *key)
{
  int line = find_key (file, key);

  return line < 0 ? NULL : key_value (get_line (file, (guint) line)->raw, key);
}

bool
vm_machine_file_set_key (VmMachineFile *file, const char *key, const char *value, GError **error)
{
  int at = find_key (file, key);

  if (!*key || strpbrk (key, " \t\r\n=") || (value && strpbrk (value, "\r\n")))
    return vm_fail (error, "'%s' cannot be a key of a machine file", key);
  if (!value)
    {
      if (at >= 0)
        vm_machine_file_remove (file, (guint) at);
      return true;
    }
  Line *line = g_new0 (Line, 1);
  line->raw = g_strdup_printf ("#: %s = %s%s", key, value, usual_end (file));
  if (at >= 0)
    {
      line_free (get_line (file, (guint) at));
      file->lines->pdata[at] = line;
      return true;
    }
  /* Behind the comments the file begins with. */
  guint first = 0;
  while (first < file->lines->len && get_line (file, first)->raw[0] == '#')
    first++;
  insert_line (file, first, line);
  return true;
}

/* --- writing --- */

bool
vm_machine_file_save (const VmMachineFile *file, const char *path, GError **error)
{
  g_autofree char *text = vm_machine_file_to_text (file), *target = realpath (path, NULL);
  const char *where = target ? target : path;
  struct stat st;
  int mode = stat (where, &st) == 0 ? (int) (st.st_mode & 07777) : 0666;

  return g_file_set_contents_full (where, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode,
                                   error);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine files: reading keeps every byte, and an edit changes its own line only. */
#include "engine/options/machine-file.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_words[] = { "-m 4G\n",
                                   "-S\n",
                                   "-append ",
                                   "\\\n",
                                   "\\\r\n",
                                   "\n",
                                   "\r\n",
                                   "#",
                                   "#: title = x\n",
                                   "#!/usr/bin/env\n",
                                   "-",
                                   "--machine pc\n",
                                   " ",
                                   "\t",
                                   "disk.img\n",
                                   "-drive file=a,,b",
                                   "\\",
                                   "é",
                                   NULL };

static void
edit (VmMachineFile *file, const char *before, guint line)
{
  g_autofree char *after = NULL, *title = NULL;

  g_assert (vm_machine_file_insert (file, line, "-name", "edited", NULL));
  g_assert_cmpstr (vm_machine_file_argument (file, line), ==, "edited");
  vm_machine_file_remove (file, line);
  after = vm_machine_file_to_text (file);
  /* At most the missing line end of the last line came in. */
  g_assert (g_str_has_prefix (after, before) && strlen (after) <= strlen (before) + 2);
  g_assert (vm_machine_file_set_key (file, "fuzz-key", "some value", NULL));
  title = vm_machine_file_get_key (file, "fuzz-key");
  g_assert_cmpstr (title, ==, "some value");
}

void
fuzz_one (const uint8_t *data, size_t len)
{
  const char *text = (const char *) data;
  g_autoptr (GError) error = NULL;
  g_autoptr (VmMachineFile) file = vm_machine_file_parse (text, len, &error);

  g_assert ((file == NULL) == (error != NULL));
  if (!file)
    return;
  g_autofree char *same = vm_machine_file_to_text (file);
  g_assert (strlen (same) == len && !memcmp (same, text, len));
  guint n = vm_machine_file_n_lines (file);
  for (guint i = 0; i < n; i++)
    {
      const char *option = vm_machine_file_option (file, i), *argument = vm_machine_file_argument (file, i);
      g_assert (!option || *option || argument);
      g_assert (vm_machine_file_line_number (file, i) > i);
    }
  edit (file, same, len ? (guint) ((uint8_t) text[0]) % (n + 1) : 0);
}

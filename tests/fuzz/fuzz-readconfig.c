/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration files of -readconfig: the text is one, and what it says goes through the option parser. */
#include "engine/options/options.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_words[] = { "[device]\n",
                                   "[device \"a\"]\n",
                                   "[machine]\n",
                                   "[smp-opts]\n",
                                   "[memory]\n",
                                   "[global]\n",
                                   "[object \"o\"]\n",
                                   "[foo]\n",
                                   "[",
                                   "]",
                                   "\"",
                                   "  driver = \"isa-serial\"\n",
                                   "  type = \"pc\"\n",
                                   "size = \"1G\"\n",
                                   "a = \"b,c\"\n",
                                   "=",
                                   " ",
                                   "\t",
                                   "\n",
                                   "\r\n",
                                   "#",
                                   "x",
                                   "id",
                                   "= \"",
                                   "key = \"value\"",
                                   "[netdev \"n\"]\n  type = \"user\"\n",
                                   NULL };

static const char *contents;
static size_t contents_len;

static bool
read_text (const char *path, char **text, gsize *len, GError **error)
{
  if (strcmp (path, "f") != 0)
    return vm_fail (error, "Could not open '%s'", path);
  *text = g_malloc (contents_len + 1);
  memcpy (*text, contents, contents_len);
  (*text)[contents_len] = 0;
  *len = contents_len;
  return true;
}

void
fuzz_one (const uint8_t *data, size_t len)
{
  const char *text = (const char *) data;
  static char *const argv[] = { "vitrine", "-readconfig", "f", "-set", "device.a.irq=3", NULL };
  g_autoptr (VmSettings) settings = vm_settings_new ();
  g_autoptr (GError) error = NULL;

  contents = text;
  contents_len = MIN (len, 65536);
  VmOptionsResult result = vm_options_parse_with (5, argv, settings, read_text, &error);
  g_assert ((result == VM_OPTIONS_FAIL) == (error != NULL));
}

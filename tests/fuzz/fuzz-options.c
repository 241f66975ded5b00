/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The option parser: each line of the text is an argument. No file of the host is read. */
#include "engine/options/options.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_words[] = { "-machine\n",
                                   "-m\n",
                                   "-smp\n",
                                   "-device\n",
                                   "-object\n",
                                   "-netdev\n",
                                   "-blockdev\n",
                                   "-drive\n",
                                   "-chardev\n",
                                   "-set\n",
                                   "-global\n",
                                   "-readconfig\n",
                                   "-smbios\n",
                                   "-acpitable\n",
                                   "-rtc\n",
                                   "-boot\n",
                                   "-name\n",
                                   "-uuid\n",
                                   "-audiodev\n",
                                   "-display\n",
                                   "-vnc\n",
                                   "-spice\n",
                                   "-numa\n",
                                   "-icount\n",
                                   "-fw_cfg\n",
                                   "-sandbox\n",
                                   "-run-with\n",
                                   "-add-fd\n",
                                   "-msg\n",
                                   "-compat\n",
                                   "--machine\n",
                                   "-fsdev\n",
                                   "-virtfs\n",
                                   "-tpmdev\n",
                                   "-incoming\n",
                                   "-trace\n",
                                   "-accel\n",
                                   "-cpu\n",
                                   "-S\n",
                                   "-nographic\n",
                                   "-daemonize\n",
                                   "-cdrom\n",
                                   "-serial\n",
                                   "-mon\n",
                                   "-action\n",
                                   "-k\n",
                                   "-L\n",
                                   "-d\n",
                                   "-dfilter\n",
                                   "-seed\n",
                                   "id=",
                                   "type=",
                                   "driver=",
                                   "file=",
                                   "size=",
                                   "a",
                                   "x1",
                                   "null",
                                   "user",
                                   "file",
                                   "raw",
                                   ",",
                                   ",,",
                                   "=",
                                   ".",
                                   "\n",
                                   "on",
                                   "off",
                                   "auto",
                                   "help",
                                   "no",
                                   "12345678-9abc-def0-1234-56789abcdef0",
                                   "1G",
                                   "-1",
                                   "0x",
                                   "18446744073709551616",
                                   "{",
                                   "}",
                                   "[",
                                   "]",
                                   "\"",
                                   ":",
                                   "{\"driver\":\"isa-serial\"}",
                                   "file.driver=",
                                   "local",
                                   "node",
                                   "kvm:tcg",
                                   "mon:",
                                   "device.a.b=c",
                                   "2020-01-01",
                                   "T00:00:00",
                                   "/dev/fdset/1",
                                   "./x.conf",
                                   "children.0=",
                                   "server.0.host=",
                                   "\xff",
                                   NULL };

/* Files the text asks for hold the text itself. */
static const char *contents;
static size_t contents_len;

static bool
read_nothing (const char *path, char **text, gsize *len, GError **error)
{
  if (!g_str_has_suffix (path, "x") && !g_str_has_suffix (path, ".conf"))
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
  g_autofree char *copy = g_strndup (text, MIN (len, 4096));
  g_auto (GStrv) args = g_strsplit (copy, "\n", 200);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (VmSettings) settings = vm_settings_new ();
  g_autoptr (GError) error = NULL;

  contents = text;
  contents_len = MIN (len, 4096);
  g_ptr_array_add (argv, (gpointer) "vitrine");
  for (char **a = args; *a; a++)
    if (strcmp (*a, "-h") && strcmp (*a, "-help") && strcmp (*a, "--h") && strcmp (*a, "--help")) /* prints much */
      g_ptr_array_add (argv, *a);
  g_ptr_array_add (argv, NULL);
  VmOptionsResult result
      = vm_options_parse_with ((int) argv->len - 1, (char *const *) argv->pdata, settings, read_nothing, &error);
  g_assert ((result == VM_OPTIONS_FAIL) == (error != NULL));
}

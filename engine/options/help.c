/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -help, -version and the key lists of single options. */
#include "config.h"

#include "engine/options/options-private.h"

#include "engine/base/log.h"

#include <stdio.h>

static void
print_option (const VmOptionInfo *info)
{
  g_autofree char *head
      = g_strdup_printf ("-%s%s%s", info->name, info->has_arg ? " " : "", info->has_arg ? info->values : "");

  if (strlen (head) < 24)
    printf ("%-24s%s\n", head, info->help);
  else
    printf ("%s\n%24s%s\n", head, "", info->help);
}

void
vm_options_print_help (void)
{
  const char *section = "";

  vm_options_print_version (vm_log_program ());
  printf ("usage: %s [options] [disk_image]\n\n'disk_image' is a raw hard disk image for IDE hard disk 0\n",
          vm_log_program ());
  for (const VmOptionInfo *info = vm_option_infos; info->name; info++)
    {
      if (strcmp (section, info->section) != 0)
        printf ("\n%s options:\n", info->section);
      section = info->section;
      print_option (info);
    }
}

/* Programs that look for the usual line find it under the usual name. */
void
vm_options_print_version (const char *argv0)
{
  g_autofree char *base = g_path_get_basename (argv0);

  if (g_str_has_prefix (base, "qemu-system-"))
    printf ("QEMU emulator version 9.1.50 (Vitrine %s)\n", VM_VERSION);
  else
    printf ("Vitrine %s (command line and protocol of version 9.1.50)\n", VM_VERSION);
  printf ("Copyright (c) the Vitrine contributors, GPL-3.0-or-later\n");
}

void
vm_options_print_keys (const char *option)
{
  for (const VmOptionKey *k = vm_option_keys; k->option; k++)
    if (!strcmp (k->option, option))
      printf ("  %s=<%s>%s%s - %s\n", k->key, k->values, *k->def ? " default " : "", k->def, k->help);
}

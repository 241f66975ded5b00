/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of host processors and nodes in properties. */
#include "engine/machine/number-list.h"

bool
vm_number_list_add (uint64_t *bits, unsigned limit, const char *name, const char *text, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  for (unsigned i = 0; parts[i]; i++)
    {
      guint64 first, last;
      char *dash = strchr (parts[i], '-');
      if (dash)
        *dash = 0;
      if (!g_ascii_string_to_unsigned (parts[i], 10, 0, UINT16_MAX, &first, NULL)
          || !g_ascii_string_to_unsigned (dash ? dash + 1 : parts[i], 10, first, UINT16_MAX, &last, NULL))
        return vm_fail (error, "Parameter '%s' expects a uint16 value or range", name);
      if (last >= limit)
        return vm_fail (error, "Invalid %s value: %" G_GUINT64_FORMAT, name, last);
      for (; first <= last; first++)
        bits[first / 64] |= UINT64_C (1) << first % 64;
    }
  return true;
}

char *
vm_number_list_text (const uint64_t *bits, unsigned limit)
{
  GString *out = g_string_new (NULL);

  for (unsigned n = 0; n < limit; n++)
    if (bits[n / 64] >> n % 64 & 1)
      g_string_append_printf (out, "%s%u", out->len ? "," : "", n);
  return g_string_free (out, FALSE);
}

bool
vm_number_list_is_empty (const uint64_t *bits, unsigned limit)
{
  for (unsigned i = 0; i < limit / 64; i++)
    if (bits[i])
      return false;
  return true;
}

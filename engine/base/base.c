/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors and the parsing of sizes as people type them. */
#include "engine/base/base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

G_DEFINE_QUARK (vm-error-quark, vm_error)

bool
vm_fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (VM_ERROR, VM_ERROR_FAILED, format, args);
  va_end (args);
  return false;
}

/* Power of two of a unit letter; -1 when it is none. */
static int
unit_shift (char unit)
{
  switch (unit)
    {
    case 'b': case 'B': return 0;
    case 'k': case 'K': return 10;
    case 'm': case 'M': return 20;
    case 'g': case 'G': return 30;
    case 't': case 'T': return 40;
    case 'p': case 'P': return 50;
    case 'e': case 'E': return 60;
    default:            return -1;
    }
}

static bool
malformed (const char *name, GError **error)
{
  return vm_fail (error,
                  "Parameter '%s' expects a non-negative number below 2^64\n"
                  "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                  "and exabytes, respectively.", name);
}

static bool
too_big (const char *name, const char *text, GError **error)
{
  return vm_fail (error, "Value '%s' is out of range for parameter '%s'", text, name);
}

/* The digits after a decimal point as a fraction of 2^64; moves *P behind them. */
static uint64_t
parse_fraction (const char **p)
{
  long double scale = 1, sum = 0;

  for (; g_ascii_isdigit (**p); (*p)++)
    sum += (**p - '0') * (scale /= 10);
  /* Rounding may reach 1, which does not fit. */
  return sum >= 1 ? UINT64_MAX : (uint64_t) ldexpl (sum, 64);
}

bool
vm_parse_size_param (const char *name, const char *text, char default_suffix, uint64_t *bytes,
                     GError **error)
{
  const char *p = text;
  bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
  uint64_t whole, fraction = 0;
  bool has_fraction = false;
  char *end;

  if (hex ? !g_ascii_isxdigit (p[2]) : !g_ascii_isdigit (*p))
    return malformed (name, error);
  errno = 0;
  whole = g_ascii_strtoull (p, &end, hex ? 16 : 10);
  if (errno == ERANGE)
    return too_big (name, text, error);
  p = end;
  if (!hex && *p == '.')
    {
      p++;
      if (!g_ascii_isdigit (*p))
        return malformed (name, error);
      has_fraction = true;
      fraction = parse_fraction (&p);
    }
  int shift = unit_shift (*p ? *p : default_suffix);
  if (shift < 0 || (*p && p[1]))
    return malformed (name, error);
  /* Half a byte is nothing a person can mean, and half of what was not named neither. */
  if (has_fraction && (shift == 0 || !*p))
    return malformed (name, error);
  if (shift && whole >> (64 - shift))
    return too_big (name, text, error);
  *bytes = (whole << shift) + (shift ? fraction >> (64 - shift) : 0);
  return true;
}

bool
vm_parse_size (const char *text, char default_suffix, uint64_t *bytes, GError **error)
{
  return vm_parse_size_param ("size", text, default_suffix, bytes, error);
}

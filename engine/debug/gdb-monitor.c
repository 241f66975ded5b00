/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gdb server's way to the human monitor, and settings of its own ("maintenance packet Qqemu.PhyMemMode:1"). */
#include "engine/debug/gdb-private.h"

#include "engine/monitor/monitor.h"

/* HEX of a line. What it prints goes ahead of the reply. */
void
gdb_run_monitor (VmGdb *g, const char *p, size_t len)
{
  VmMonitors *monitors = vm_monitors_of (g->machine);
  g_autofree char *line = g_malloc0 (len / 2 + 1);

  if (len % 2 || !gdb_hex_parse (p, (uint8_t *) line, len / 2) || !monitors)
    {
      gdb_reply_error (g);
      return;
    }
  g_autofree char *text = vm_monitors_run_hmp (monitors, line, (int) g->current);
  g_autoptr (GString) packet = g_string_new (NULL);
  for (size_t done = 0, all = strlen (text); done < all;)
    {
      size_t part = MIN (all - done, GDB_PACKET_MAX / 2 - 1);

      g_string_assign (packet, "O");
      gdb_hex_append (packet, (const uint8_t *) text + done, part);
      gdb_reply_bytes (g, packet->str, packet->len);
      done += part;
    }
  gdb_reply_ok (g);
}

void
gdb_step_bits (VmGdb *g, const char *p, size_t len)
{
  gdb_reply (g, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", GDB_STEP_ENABLE, GDB_STEP_NO_IRQ, GDB_STEP_NO_TIMER);
}

void
gdb_get_step (VmGdb *g, const char *p, size_t len)
{
  gdb_reply (g, "0x%x", g->step_flags);
}

/* =VALUE, with or without "0x" */
void
gdb_set_step (VmGdb *g, const char *p, size_t len)
{
  uint64_t value;

  if (g_str_has_prefix (p, "0x"))
    p += 2;
  if (!gdb_number_parse (&p, &value) || *p
      || value & ~(uint64_t) (GDB_STEP_ENABLE | GDB_STEP_NO_IRQ | GDB_STEP_NO_TIMER))
    {
      gdb_reply_error (g);
      return;
    }
  g->step_flags = value;
  gdb_reply_ok (g);
}

void
gdb_get_physical (VmGdb *g, const char *p, size_t len)
{
  gdb_reply (g, "%d", g->physical);
}

void
gdb_set_physical (VmGdb *g, const char *p, size_t len)
{
  uint64_t value;

  if (!gdb_number_parse (&p, &value) || *p)
    {
      gdb_reply_error (g);
      return;
    }
  g->physical = value != 0;
  gdb_reply_ok (g);
}

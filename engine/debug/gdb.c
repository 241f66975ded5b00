/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gdb server's connection: who is there, which packet goes where, what is told when the machine stops. */
#include "engine/debug/gdb-private.h"

#include <stdarg.h>

#define OUT_ENOUGH VM_MIB /* of replies nobody has read: no packet is taken before they are */

/* --- talking --------------------------------------------------------------------------------------- */

static void
flush_out (VmGdb *g)
{
  g_string_erase (g->out, 0, vm_char_fe_write (&g->fe, g->out->str, g->out->len));
}

void
gdb_reply_bytes (VmGdb *g, const char *data, size_t len)
{
  g_string_truncate (g->last, 0);
  gdb_packet_append (g->last, data, len);
  g_string_append_len (g->out, g->last->str, g->last->len);
  flush_out (g);
}

void
gdb_reply (VmGdb *g, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  gdb_reply_bytes (g, text, strlen (text));
}

void
gdb_reply_ok (VmGdb *g)
{
  gdb_reply (g, "OK");
}

void
gdb_reply_error (VmGdb *g)
{
  gdb_reply (g, "E22");
}

VmVcpu *
gdb_vcpu (VmGdb *g)
{
  VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, g->current);

  if (vcpu)
    return vcpu;
  g->current = 0; /* it was unplugged */
  return vm_vcpu_set_get (g->machine->vcpus, 0);
}

/* --- stops ----------------------------------------------------------------------------------------- */

/* In gdb's numbers, which are no system's. */
static unsigned
signal_of (const VmGdb *g)
{
  if (g->stop.kind)
    return 5; /* SIGTRAP */
  switch (g->machine->state)
    {
    case VM_RUN_DEBUG:
    case VM_RUN_PRELAUNCH:
      return 5;
    case VM_RUN_SHUTDOWN:
      return 3; /* SIGQUIT */
    case VM_RUN_INTERNAL_ERROR:
    case VM_RUN_GUEST_PANICKED:
      return 6; /* SIGABRT */
    case VM_RUN_WATCHDOG:
      return 14; /* SIGALRM */
    case VM_RUN_IO_ERROR:
      return 23; /* SIGIO */
    default:
      return 2; /* SIGINT */
    }
}

void
gdb_reply_stop (VmGdb *g)
{
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (text, "T%02xthread:", signal_of (g));
  gdb_append_thread (g, text, g->current);
  g_string_append_c (text, ';');
  switch (g->stop.kind)
    {
    case VM_DEBUG_SOFT:
      if (g->swbreak)
        g_string_append (text, "swbreak:;");
      break;
    case VM_DEBUG_HARD:
      if (g->hwbreak)
        g_string_append (text, "hwbreak:;");
      break;
    case VM_DEBUG_WRITE:
    case VM_DEBUG_READ:
    case VM_DEBUG_ACCESS:
      g_string_append_printf (text, "%swatch:%" G_GINT64_MODIFIER "x;",
                              g->stop.kind == VM_DEBUG_READ     ? "r"
                              : g->stop.kind == VM_DEBUG_ACCESS ? "a"
                                                                : "",
                              g->stop.address);
      break;
    case VM_DEBUG_NONE:
    case VM_DEBUG_STEP:
      break;
    }
  gdb_reply_bytes (g, text->str, text->len);
}

/* No vCPU is left behind or stepped by what comes next. */
void
gdb_forget (VmGdb *g)
{
  unsigned n = vm_vcpu_set_count (g->machine->vcpus);

  for (unsigned i = 0; i < n; i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, i);
      if (vcpu)
        vcpu->held = vcpu->singlestep = false;
    }
}

static void
on_state (VmMachine *m, void *opaque)
{
  VmGdb *g = opaque;

  if (vm_machine_is_running (m))
    {
      gdb_points_apply (g);
      return;
    }
  if (m->state == VM_RUN_SUSPENDED) /* it sleeps, by its own will */
    return;
  gdb_points_stopped (g);
  gdb_forget (g);
  gdb_points_collect (g);
  if (!g->resumed)
    return;
  g->resumed = false;
  gdb_reply_stop (g);
}

static void
on_quit (VmMachine *m, void *opaque)
{
  VmGdb *g = opaque;

  if (vm_char_fe_is_open (&g->fe))
    gdb_reply (g, "W00");
}

/* --- packets of the connection --------------------------------------------------------------------- */

static void
supported (VmGdb *g, const char *p, size_t len)
{
  g_auto (GStrv) features = g_strsplit (p, ";", 64);

  g->multiprocess = g_strv_contains ((const char *const *) features, "multiprocess+");
  g->swbreak = g_strv_contains ((const char *const *) features, "swbreak+");
  g->hwbreak = g_strv_contains ((const char *const *) features, "hwbreak+");
  gdb_reply (g, "PacketSize=%x;qXfer:features:read+;multiprocess+;swbreak+;hwbreak+;vContSupported+;QStartNoAckMode+",
             GDB_PACKET_MAX);
}

static void
start_no_ack (VmGdb *g, const char *p, size_t len)
{
  gdb_reply_ok (g);
  g->no_ack = true;
}

static void
why_stopped (VmGdb *g, const char *p, size_t len)
{
  if (vm_vcpu_set_count (g->machine->vcpus) == 0)
    gdb_reply (g, "W00");
  else
    gdb_reply_stop (g);
}

static void
attached (VmGdb *g, const char *p, size_t len)
{
  gdb_reply (g, "1"); /* the machine was there first: gdb detaches from it, it does not kill it */
}

static void
let_go (VmGdb *g)
{
  g->resumed = g->physical = false;
  gdb_forget (g);
  gdb_points_clear (g);
  for (unsigned i = 0, n = vm_vcpu_set_count (g->machine->vcpus); i < n; i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, i);
      if (vcpu)
        vcpu->debug_stop.kind = VM_DEBUG_NONE;
    }
  g->stop.kind = VM_DEBUG_NONE;
}

static void
detach (VmGdb *g, const char *p, size_t len)
{
  let_go (g);
  gdb_reply_ok (g);
  vm_machine_cont (g->machine, NULL); /* one that cannot go on stays as it is */
}

static void
kill_machine (VmGdb *g, const char *p, size_t len)
{
  vm_machine_quit (g->machine, 0, VM_CAUSE_HOST_UI);
}

static void
kill_process (VmGdb *g, const char *p, size_t len)
{
  gdb_reply_ok (g);
  kill_machine (g, p, len);
}

/* --- dispatch -------------------------------------------------------------------------------------- */

typedef struct Packet
{
  const char *name;
  char after; /* what comes after the name: 0: anything, '.': nothing */
  GdbFunc func;
} Packet;

/* The first whose name begins the packet. */
static const Packet packets[] = {
  { "?", '.', why_stopped },
  { "g", '.', gdb_read_registers },
  { "G", 0, gdb_write_registers },
  { "p", 0, gdb_read_register },
  { "P", 0, gdb_write_register },
  { "m", 0, gdb_read_memory },
  { "M", 0, gdb_write_memory },
  { "X", 0, gdb_write_memory_binary },
  { "c", 0, gdb_cont },
  { "C", 0, gdb_cont_signal },
  { "s", 0, gdb_step },
  { "S", 0, gdb_step_signal },
  { "vCont?", '.', gdb_vcont_query },
  { "vCont", ';', gdb_vcont },
  { "vKill;", 0, kill_process },
  { "Z", 0, gdb_insert_point },
  { "z", 0, gdb_remove_point },
  { "H", 0, gdb_select_thread },
  { "T", 0, gdb_thread_alive },
  { "D", 0, detach },
  { "k", 0, kill_machine },
  { "qC", '.', gdb_current_thread },
  { "qfThreadInfo", '.', gdb_first_threads },
  { "qsThreadInfo", '.', gdb_next_threads },
  { "qThreadExtraInfo,", 0, gdb_thread_info },
  { "qAttached", 0, attached },
  { "qSupported:", 0, supported },
  { "qSupported", '.', supported },
  { "QStartNoAckMode", '.', start_no_ack },
  { "qXfer:features:read:", 0, gdb_read_features },
  { "qRcmd,", 0, gdb_run_monitor },
  { "qqemu.sstepbits", '.', gdb_step_bits },
  { "qqemu.sstep", '.', gdb_get_step },
  { "Qqemu.sstep=", 0, gdb_set_step },
  { "qqemu.PhyMemMode", '.', gdb_get_physical },
  { "Qqemu.PhyMemMode:", 0, gdb_set_physical },
};

static void
run_packet (VmGdb *g, const char *data, size_t len)
{
  for (size_t i = 0; i < G_N_ELEMENTS (packets); i++)
    {
      const Packet *packet = &packets[i];
      size_t n = strlen (packet->name);

      if (len < n || memcmp (data, packet->name, n) != 0 || (packet->after == '.' && len != n)
          || (packet->after == ';' && data[n] != ';'))
        continue;
      packet->func (g, data + n, len - n);
      return;
    }
  gdb_reply (g, "%s", ""); /* unknown */
}

static void
acknowledge (VmGdb *g, char sign)
{
  if (g->no_ack)
    return;
  g_string_append_c (g->out, sign);
  flush_out (g);
}

/* Whatever is asked for, the answer wants a machine that stands. */
static void
stop_machine (VmGdb *g)
{
  if (g->machine->state == VM_RUN_RUNNING || g->machine->state == VM_RUN_SUSPENDED)
    vm_machine_stop (g->machine, VM_RUN_PAUSED);
}

static void
take_frame (VmGdb *g, GdbFrame frame)
{
  switch (frame)
    {
    case GDB_FRAME_MORE:
      break;
    case GDB_FRAME_PACKET:
      acknowledge (g, '+');
      stop_machine (g);
      g->busy = true;
      run_packet (g, g->framer.data, g->framer.len);
      g->busy = false;
      break;
    case GDB_FRAME_LONG:
      acknowledge (g, '+');
      gdb_reply_error (g);
      break;
    case GDB_FRAME_BAD:
      acknowledge (g, '-');
      break;
    case GDB_FRAME_BREAK:
      stop_machine (g);
      break;
    case GDB_FRAME_NAK:
      if (!g->no_ack && g->out->len == 0)
        {
          g_string_append_len (g->out, g->last->str, g->last->len);
          flush_out (g);
        }
      break;
    }
}

/* --- the back end ---------------------------------------------------------------------------------- */

static size_t
can_receive (void *opaque)
{
  return ((VmGdb *) opaque)->out->len > OUT_ENOUGH ? 0 : 4096;
}

static void
receive (void *opaque, const uint8_t *buf, size_t len)
{
  VmGdb *g = opaque;

  for (size_t i = 0; i < len; i++)
    take_frame (g, gdb_framer_feed (&g->framer, buf[i]));
}

static void
start_session (VmGdb *g)
{
  g->framer.state = GDB_IDLE;
  g_string_truncate (g->out, 0);
  g_string_truncate (g->last, 0);
  g->no_ack = g->multiprocess = g->swbreak = g->hwbreak = g->physical = g->resumed = false;
  g->current = 0;
  g->resume_only = -1;
  g->step_flags = GDB_STEP_ENABLE | GDB_STEP_NO_IRQ | GDB_STEP_NO_TIMER;
}

static void
on_event (void *opaque, VmCharEvent event)
{
  VmGdb *g = opaque;

  if (event == VM_CHAR_OPENED)
    {
      start_session (g);
      stop_machine (g);
    }
  else if (event == VM_CHAR_CLOSED)
    {
      let_go (g); /* it stays stopped if it is */
      start_session (g);
    }
}

static void
writable (void *opaque)
{
  VmGdb *g = opaque;

  flush_out (g);
  vm_char_fe_accept_input (&g->fe);
}

static const VmCharFeOps fe_ops = { can_receive, receive, on_event, writable };

/* --- life ------------------------------------------------------------------------------------------ */

bool
vm_gdb_start (VmMachine *m, GError **error)
{
  const VmGdbArch *arch = m->arch ? m->arch->gdb : NULL;
  VmChardev *chr = m->gdb_chardev ? vm_chardev_find (m->env.root, m->gdb_chardev) : NULL;

  if (!arch || !chr)
    return vm_fail (error, "gdb: the machine's processors cannot be debugged");
  VmGdb *g = g_new0 (VmGdb, 1);
  g->machine = m;
  g->arch = arch;
  g->fe.owner = "gdb";
  g->out = g_string_new (NULL);
  g->last = g_string_new (NULL);
  g->points = g_array_new (FALSE, FALSE, sizeof (VmDebugPoint));
  g->patches = g_array_new (FALSE, FALSE, sizeof (GdbPatch));
  start_session (g);
  m->gdb_of = g;
  vm_machine_watch (m, VM_MACHINE_STATE, on_state, g);
  vm_machine_watch (m, VM_MACHINE_QUIT, on_quit, g);
  if (vm_char_fe_attach_to (&g->fe, chr, &fe_ops, g, error))
    return true;
  vm_gdb_stop (m);
  return false;
}

void
vm_gdb_stop (VmMachine *m)
{
  VmGdb *g = m->gdb_of;

  if (!g)
    return;
  m->gdb_of = NULL;
  bool taken = vm_lock_enter (m->lock);
  vm_machine_unwatch (m, VM_MACHINE_STATE, on_state, g);
  vm_machine_unwatch (m, VM_MACHINE_QUIT, on_quit, g);
  let_go (g);
  if (vm_char_fe_connected (&g->fe))
    vm_char_fe_detach (&g->fe);
  vm_lock_leave (m->lock, taken);
  g_string_free (g->out, TRUE);
  g_string_free (g->last, TRUE);
  g_array_unref (g->points);
  g_array_unref (g->patches);
  g_free (g);
}

bool
vm_gdb_listen (VmMachine *m, const char *device, GError **error)
{
  VmGdb *g = m->gdb_of;

  if (g && g->busy)
    return vm_fail (error, "gdb's own connection cannot be changed from within");
  vm_gdb_stop (m);
  /* A back end made for the server before goes with it; one of -chardev stays. */
  VmChardev *old = m->gdb_chardev ? vm_chardev_find (m->env.root, m->gdb_chardev) : NULL;
  if (old && m->gdb_chardev_own && !vm_chardev_remove (old, error))
    return false;
  if (!vm_machine_open_gdb_chardev (m, device, error))
    return false;
  return !m->gdb_chardev || vm_gdb_start (m, error);
}

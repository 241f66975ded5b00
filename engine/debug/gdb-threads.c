/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gdb server's threads, and letting them run. */
#include "engine/debug/gdb-private.h"

enum
{
  THREAD_ALL = -1,
  THREAD_ANY = -2,
  THREAD_NONE = -3
};

/* "1", "p1.2", "p1.-1", "0": the vCPU's index or one of the above. All are of process 1. */
static int
parse_thread (VmGdb *g, const char **p)
{
  uint64_t process = 1, id = 0;
  bool all = false;

  if (**p == 'p')
    {
      (*p)++;
      if (g_str_has_prefix (*p, "-1"))
        *p += 2;
      else if (!gdb_number_parse (p, &process) || process > 1)
        return THREAD_NONE;
      if (**p != '.')
        return THREAD_ALL;
      (*p)++;
    }
  if (g_str_has_prefix (*p, "-1"))
    {
      all = true;
      *p += 2;
    }
  else if (!gdb_number_parse (p, &id))
    return THREAD_NONE;
  if (all)
    return THREAD_ALL;
  if (id == 0)
    return THREAD_ANY;
  return id <= vm_vcpu_set_count (g->machine->vcpus) ? (int) id - 1 : THREAD_NONE;
}

void
gdb_append_thread (VmGdb *g, GString *text, unsigned index)
{
  g_string_append_printf (text, g->multiprocess ? "p01.%02x" : "%02x", index + 1);
}

/* "g1" for what follows, "c1" for c and s. */
void
gdb_select_thread (VmGdb *g, const char *p, size_t len)
{
  char what = len ? *p++ : 0;
  int thread = parse_thread (g, &p);

  if ((what != 'g' && what != 'c') || thread == THREAD_NONE)
    {
      gdb_reply_error (g);
      return;
    }
  if (what == 'c')
    g->resume_only = thread >= 0 ? thread : -1;
  else if (thread >= 0)
    g->current = thread;
  gdb_reply_ok (g);
}

void
gdb_thread_alive (VmGdb *g, const char *p, size_t len)
{
  if (parse_thread (g, &p) >= 0)
    gdb_reply_ok (g);
  else
    gdb_reply_error (g);
}

void
gdb_next_threads (VmGdb *g, const char *p, size_t len)
{
  g_autoptr (GString) text = g_string_new (NULL);
  unsigned n = vm_vcpu_set_count (g->machine->vcpus);

  if (g->listed >= n)
    {
      gdb_reply (g, "l");
      return;
    }
  for (; g->listed < n && text->len < GDB_PACKET_MAX - 32; g->listed++)
    {
      g_string_append_c (text, text->len ? ',' : 'm');
      gdb_append_thread (g, text, g->listed);
    }
  gdb_reply_bytes (g, text->str, text->len);
}

void
gdb_first_threads (VmGdb *g, const char *p, size_t len)
{
  g->listed = 0;
  gdb_next_threads (g, p, len);
}

void
gdb_thread_info (VmGdb *g, const char *p, size_t len)
{
  g_autoptr (GString) text = g_string_new (NULL);
  int thread = parse_thread (g, &p);

  if (thread < 0)
    {
      gdb_reply_error (g);
      return;
    }
  VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, thread);
  bool halted = __atomic_load_n (&vcpu->halted, __ATOMIC_RELAXED);
  g_autofree char *info = g_strdup_printf ("CPU#%d [%s]", thread, halted ? "halted " : "running");
  gdb_hex_append (text, (const uint8_t *) info, strlen (info));
  gdb_reply_bytes (g, text->str, text->len);
}

void
gdb_current_thread (VmGdb *g, const char *p, size_t len)
{
  g_autoptr (GString) text = g_string_new ("QC");

  gdb_append_thread (g, text, g->current);
  gdb_reply_bytes (g, text->str, text->len);
}

/* --- resuming -------------------------------------------------------------------------------------- */

/* What each vCPU is to do: 'c', 's' or 0. */
static void
resume (VmGdb *g, const char *actions, unsigned n)
{
  g_autoptr (GError) error = NULL;
  bool frozen = (g->step_flags & GDB_STEP_NO_TIMER) != 0;

  /* One that stopped together with the one told before has its turn now. */
  if (gdb_points_collect (g))
    {
      gdb_reply_stop (g);
      return;
    }
  for (unsigned i = 0; i < n; i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (g->machine->vcpus, i);

      if (!vcpu)
        continue;
      vcpu->held = actions[i] == 0;
      vcpu->singlestep = actions[i] == 's' && g->step_flags & GDB_STEP_ENABLE;
      vcpu->step_masked = (g->step_flags & GDB_STEP_NO_IRQ) != 0;
      /* Only time wakes what is halted. */
      if (!vcpu->held && (!vcpu->singlestep || __atomic_load_n (&vcpu->halted, __ATOMIC_RELAXED)))
        frozen = false;
    }
  g->resumed = true;
  g->stop.kind = VM_DEBUG_NONE;
  if (frozen ? vm_machine_cont_frozen (g->machine, &error) : vm_machine_cont (g->machine, &error))
    return;
  g_autoptr (GString) text = g_string_new ("O");
  g_autofree char *line = g_strdup_printf ("%s\n", error->message);
  gdb_hex_append (text, (const uint8_t *) line, strlen (line));
  gdb_reply_bytes (g, text->str, text->len);
  g->resumed = false;
  gdb_forget (g);
  gdb_reply_stop (g);
}

/* An old-fashioned c or s: ACTION for the vCPU of "Hc", or a step of the current one while the others run. */
static void
resume_simply (VmGdb *g, char action, const char *address)
{
  unsigned n = vm_vcpu_set_count (g->machine->vcpus);
  g_autofree char *actions = g_malloc0 (n + 1);
  unsigned chosen = g->resume_only >= 0 ? (unsigned) g->resume_only : g->current;
  bool moves = *address != 0;
  uint64_t pc;

  if (moves && (!gdb_number_parse (&address, &pc) || *address))
    {
      gdb_reply_error (g);
      return;
    }
  if (g->resume_only < 0)
    memset (actions, 'c', n);
  if (chosen < n)
    actions[chosen] = action;
  if (moves && chosen < n)
    gdb_set_pc (g, vm_vcpu_set_get (g->machine->vcpus, chosen), pc);
  resume (g, actions, n);
}

void
gdb_cont (VmGdb *g, const char *p, size_t len)
{
  resume_simply (g, 'c', p);
}

void
gdb_step (VmGdb *g, const char *p, size_t len)
{
  resume_simply (g, 's', p);
}

/* SIGNAL[;ADDRESS]: a machine has no signals. */
static void
resume_with_signal (VmGdb *g, char action, const char *p)
{
  uint64_t number;

  if (!gdb_number_parse (&p, &number) || (*p && *p != ';'))
    gdb_reply_error (g);
  else
    resume_simply (g, action, *p ? p + 1 : p);
}

void
gdb_cont_signal (VmGdb *g, const char *p, size_t len)
{
  resume_with_signal (g, 'c', p);
}

void
gdb_step_signal (VmGdb *g, const char *p, size_t len)
{
  resume_with_signal (g, 's', p);
}

void
gdb_vcont_query (VmGdb *g, const char *p, size_t len)
{
  gdb_reply (g, "vCont;c;C;s;S");
}

/* One of ";c", ";C05", ";s:p1.2" ...: into ACTIONS where nothing is yet. */
static bool
parse_action (VmGdb *g, const char **p, char *actions, unsigned n)
{
  char action = *(*p)++;
  int thread = THREAD_ALL;
  uint64_t number;

  if (!memchr ("cCsS", action, 4))
    return false;
  if (g_ascii_isupper (action) && !gdb_number_parse (p, &number))
    return false;
  if (**p == ':')
    {
      (*p)++;
      thread = parse_thread (g, p);
      if (thread == THREAD_NONE)
        return false;
      if (thread == THREAD_ANY)
        thread = g->current;
    }
  for (unsigned i = 0; i < n; i++)
    if (actions[i] == 0 && (thread == THREAD_ALL || (unsigned) thread == i))
      actions[i] = g_ascii_tolower (action);
  return **p == ';' || **p == 0;
}

void
gdb_vcont (VmGdb *g, const char *p, size_t len)
{
  unsigned n = vm_vcpu_set_count (g->machine->vcpus);
  g_autofree char *actions = g_malloc0 (n + 1);
  bool ok = *p == ';';

  while (ok && *p == ';')
    {
      p++;
      ok = parse_action (g, &p, actions, n);
    }
  if (ok && *p == 0 && n)
    resume (g, actions, n);
  else
    gdb_reply_error (g);
}

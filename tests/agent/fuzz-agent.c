/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An agent that says anything, while a viewer, a pointer and files are at work. */
#include "tests/agent/rig.h"
#include "tests/fuzz/fuzz.h"

#include <pthread.h>
#include <spice/vd_agent.h>

typedef struct Target
{
  AgentRig rig;
  VmCharFe fe;
  VmClipPeer viewer;
  VmConsole *console;
  size_t room;
  GPtrArray *files; /* VmAgentFiles * */
  unsigned ended;   /* of these */
  pthread_barrier_t all_workers;
  unsigned met;
} Target;

static size_t
guest_can_receive (void *opaque)
{
  return ((Target *) opaque)->room;
}

static void
guest_receive (void *opaque, const uint8_t *bytes, size_t len)
{
  g_assert_cmpuint (len, <=, ((Target *) opaque)->room);
}

static const VmCharFeOps guest_ops = { .can_receive = guest_can_receive, .receive = guest_receive };

static void
viewer_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
}

static void
viewer_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  g_autoptr (GBytes) data = g_bytes_new_static ("viewer\n", 7);

  vm_clip_deliver (peer, selection, type, data);
}

static void
viewer_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  if (data && type == VM_CLIP_TEXT)
    {
      gsize size;
      const char *text = g_bytes_get_data (data, &size);

      g_assert_true (g_utf8_validate_len (text, size, NULL));
    }
}

static void
files_moved (VmAgentFiles *files, const VmAgentProgress *progress, void *opaque)
{
  ((Target *) opaque)->ended += progress->ended;
}

static const VmClipPeerOps viewer_ops = { viewer_offered, viewer_request, viewer_received };
static const VmConsoleOps console_ops = { 0 };

static void
say (Target *t, Input *in, uint32_t type, unsigned len)
{
  uint8_t bytes[28 + 64] = { 0 };

  len = MIN (len, 64);
  vm_store_le32 (bytes, take (in, 1) & 1 ? VDP_SERVER_PORT : VDP_CLIENT_PORT);
  vm_store_le32 (bytes + 4, 20 + len);
  vm_store_le32 (bytes + 8, VD_AGENT_PROTOCOL);
  vm_store_le32 (bytes + 12, type);
  vm_store_le32 (bytes + 24, len);
  for (unsigned i = 0; i < len; i++)
    bytes[28 + i] = take (in, 1);
  vm_char_fe_write (&t->fe, bytes, 28 + len);
}

static void
step (Target *t, Input *in)
{
  static const char *const paths[] = { "/proc/self/cmdline", NULL };
  uint8_t bytes[64];
  unsigned n;

  switch (take (in, 1) % 12)
    {
    case 0: /* anything */
      n = take (in, 1) % sizeof bytes;
      for (unsigned i = 0; i < n; i++)
        bytes[i] = take (in, 1);
      vm_char_fe_write (&t->fe, bytes, n);
      break;
    case 1:
      vm_char_fe_set_open (&t->fe, take (in, 1) & 1);
      break;
    case 2:
      t->room = take (in, 2) % 3000;
      vm_char_fe_accept_input (&t->fe);
      break;
    case 3:
      vm_clip_grab (&t->viewer, take (in, 1) & 1, take (in, 1));
      break;
    case 4:
      vm_clip_request (&t->viewer, take (in, 1) & 1, take (in, 1) & 1);
      break;
    case 5:
      vm_clipboard_set_mode (vm_display_clipboard (t->rig.display), take (in, 1) & 3);
      break;
    case 6:
      vm_input_position (t->rig.input, t->console, take (in, 1), take (in, 1), 256, 256);
      break;
    case 7:
      agent_rig_spin (&t->rig);
      break;
    case 8:
      g_ptr_array_add (t->files, vm_agent_send_files (t->rig.display, paths, NULL, files_moved, t));
      break;
    case 9: /* what it mostly says first */
      say (t, in, VD_AGENT_ANNOUNCE_CAPABILITIES, 8);
      break;
    default:
      n = take (in, 1);
      say (t, in, n % VD_AGENT_END_MESSAGE, n / VD_AGENT_END_MESSAGE * 4);
      break;
    }
}

static void
meet (void *opaque)
{
  pthread_barrier_wait (&((Target *) opaque)->all_workers);
}

static void
met (void *opaque)
{
  ((Target *) opaque)->met++;
}

/* What opens or reads a file may outlive the transfer: when all threads that a loop has for such work are here, none does. */
static void
wait_for_files (Target *t)
{
  unsigned workers = MAX (16, 2 * g_get_num_processors ());

  for (unsigned i = 0; i < t->files->len; i++)
    vm_agent_files_cancel (t->files->pdata[i]);
  pthread_barrier_init (&t->all_workers, NULL, workers);
  for (unsigned i = 0; i < workers && t->files->len; i++)
    vm_loop_work (t->rig.loop, meet, met, t);
  while (t->ended < t->files->len || (t->files->len && t->met < workers))
    {
      agent_rig_spin (&t->rig);
      while (g_main_context_iteration (NULL, FALSE))
        ;
      g_usleep (100);
    }
  pthread_barrier_destroy (&t->all_workers);
  for (unsigned i = 0; i < t->files->len; i++)
    vm_agent_files_free (t->files->pdata[i]);
  g_ptr_array_unref (t->files);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  Input in = { data, size };
  Target t = { .room = 100, .viewer = { .ops = &viewer_ops } };

  t.files = g_ptr_array_new ();
  agent_rig_init (&t.rig, true, true);
  vm_clipboard_set_primary (vm_display_clipboard (t.rig.display), true);
  vm_clip_peer_add (vm_display_clipboard (t.rig.display), &t.viewer);
  t.console = vm_console_new (t.rig.display, NULL, 0, &console_ops, NULL);
  vm_console_set_surface (t.console, vm_surface_new (64, 64));
  g_assert_true (vm_char_fe_attach_to (&t.fe, t.rig.chr, &guest_ops, &t, NULL));
  for (unsigned i = 0; i < 2000 && in.left; i++)
    step (&t, &in);
  agent_rig_spin (&t.rig);
  vm_char_fe_detach (&t.fe);
  vm_clip_peer_remove (&t.viewer);
  vm_console_free (t.console);
  wait_for_files (&t);
  agent_rig_clear (&t.rig);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

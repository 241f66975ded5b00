/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Posts one way, a waker the other. However often the guest grabs, there is one offer to remember. */
#include "ui/gtk/clipboard-bridge.h"

#include "ui/gtk/waker.h"

struct VmClipBridge
{
  int refs; /* atomic: the window's, and one for each post under way */
  VmDisplay *display;
  VmClipPeer peer;     /* engine's side */
  VmListener listener; /* hears of the agent */
  const VmClipBridgeOps *ops;
  void *opaque;
  GSource *waker;
  GMutex mutex; /* of all below */
  bool agent_changed;
  bool fresh[VM_CLIP_SELECTIONS];
  unsigned types[VM_CLIP_SELECTIONS];
  unsigned wanted[VM_CLIP_SELECTIONS];  /* types to be brought */
  unsigned arrived[VM_CLIP_SELECTIONS]; /* types of DATA */
  GBytes *data[VM_CLIP_SELECTIONS][VM_CLIP_TYPES];
};

static void
bridge_unref (VmClipBridge *bridge)
{
  if (!g_atomic_int_dec_and_test (&bridge->refs))
    return;
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
      g_clear_pointer (&bridge->data[s][t], g_bytes_unref);
  g_mutex_clear (&bridge->mutex);
  g_free (bridge);
}

/* --- from the engine ---------------------------------------------------------------------------- */

static void
peer_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  VmClipBridge *bridge = VM_CONTAINER_OF (peer, VmClipBridge, peer);

  g_mutex_lock (&bridge->mutex);
  bridge->fresh[selection] = true;
  bridge->types[selection] = types;
  g_mutex_unlock (&bridge->mutex);
  vm_waker_poke (bridge->waker);
}

static void
peer_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  VmClipBridge *bridge = VM_CONTAINER_OF (peer, VmClipBridge, peer);

  g_mutex_lock (&bridge->mutex);
  bridge->wanted[selection] |= VM_CLIP_BIT (type);
  g_mutex_unlock (&bridge->mutex);
  vm_waker_poke (bridge->waker);
}

static void
peer_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  VmClipBridge *bridge = VM_CONTAINER_OF (peer, VmClipBridge, peer);

  g_mutex_lock (&bridge->mutex);
  bridge->arrived[selection] |= VM_CLIP_BIT (type);
  g_clear_pointer (&bridge->data[selection][type], g_bytes_unref);
  bridge->data[selection][type] = data ? g_bytes_ref (data) : NULL;
  g_mutex_unlock (&bridge->mutex);
  vm_waker_poke (bridge->waker);
}

static const VmClipPeerOps peer_ops = { peer_offered, peer_request, peer_received };

static void
listener_agent_changed (VmListener *listener)
{
  VmClipBridge *bridge = VM_CONTAINER_OF (listener, VmClipBridge, listener);

  g_mutex_lock (&bridge->mutex);
  bridge->agent_changed = true;
  g_mutex_unlock (&bridge->mutex);
  vm_waker_poke (bridge->waker);
}

static const VmListenerOps listener_ops = { .agent_changed = listener_agent_changed };

/* Answers of an offer come before news of the next. */
static gboolean
bridge_wake (gpointer user_data)
{
  VmClipBridge *bridge = user_data;
  const VmClipBridgeOps *ops = bridge->ops;

  g_mutex_lock (&bridge->mutex);
  bool agent_changed = bridge->agent_changed;
  bridge->agent_changed = false;
  g_mutex_unlock (&bridge->mutex);
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    {
      GBytes *data[VM_CLIP_TYPES];

      g_mutex_lock (&bridge->mutex);
      bool fresh = bridge->fresh[s];
      unsigned types = bridge->types[s], wanted = bridge->wanted[s], arrived = bridge->arrived[s];
      bridge->fresh[s] = false;
      bridge->wanted[s] = bridge->arrived[s] = 0;
      memcpy (data, bridge->data[s], sizeof data);
      memset (bridge->data[s], 0, sizeof data);
      g_mutex_unlock (&bridge->mutex);
      for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
        {
          if (arrived & VM_CLIP_BIT (t))
            ops->received (bridge->opaque, s, t, data[t]);
          g_clear_pointer (&data[t], g_bytes_unref);
        }
      if (fresh)
        ops->offered (bridge->opaque, s, types);
      for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
        if (wanted & VM_CLIP_BIT (t))
          ops->request (bridge->opaque, s, t);
    }
  if (agent_changed && ops->agent_changed)
    ops->agent_changed (bridge->opaque);
  return G_SOURCE_CONTINUE;
}

/* --- to the engine ------------------------------------------------------------------------------- */

typedef enum JobKind
{
  JOB_GRAB,
  JOB_REQUEST,
  JOB_DELIVER,
  JOB_MODE,
  JOB_PRIMARY
} JobKind;

typedef struct Job
{
  VmClipBridge *bridge;
  JobKind kind;
  VmClipSelection selection;
  unsigned value; /* types, type, mode, flag */
  GBytes *data;
} Job;

static void
job_run (void *opaque)
{
  Job *job = opaque;
  VmClipPeer *peer = &job->bridge->peer;

  if (peer->clipboard) /* the window is still there */
    switch (job->kind)
      {
      case JOB_GRAB:
        vm_clip_grab (peer, job->selection, job->value);
        break;
      case JOB_REQUEST:
        vm_clip_request (peer, job->selection, job->value);
        break;
      case JOB_DELIVER:
        vm_clip_deliver (peer, job->selection, job->value, job->data);
        break;
      case JOB_MODE:
        vm_clipboard_set_mode (peer->clipboard, job->value);
        break;
      case JOB_PRIMARY:
        vm_clipboard_set_primary (peer->clipboard, job->value);
        break;
      }
  g_clear_pointer (&job->data, g_bytes_unref);
  bridge_unref (job->bridge);
  g_free (job);
}

static void
bridge_post (VmClipBridge *bridge, JobKind kind, VmClipSelection selection, unsigned value, GBytes *data)
{
  Job *job = g_new (Job, 1);

  g_atomic_int_inc (&bridge->refs);
  *job = (Job){ bridge, kind, selection, value, data ? g_bytes_ref (data) : NULL };
  vm_loop_post (vm_display_loop (bridge->display), job_run, job);
}

void
vm_clip_bridge_grab (VmClipBridge *bridge, VmClipSelection selection, unsigned types)
{
  bridge_post (bridge, JOB_GRAB, selection, types, NULL);
}

void
vm_clip_bridge_request (VmClipBridge *bridge, VmClipSelection selection, VmClipType type)
{
  bridge_post (bridge, JOB_REQUEST, selection, type, NULL);
}

void
vm_clip_bridge_deliver (VmClipBridge *bridge, VmClipSelection selection, VmClipType type, GBytes *data)
{
  bridge_post (bridge, JOB_DELIVER, selection, type, data);
}

void
vm_clip_bridge_set_mode (VmClipBridge *bridge, VmClipMode mode)
{
  bridge_post (bridge, JOB_MODE, 0, mode, NULL);
}

void
vm_clip_bridge_set_primary (VmClipBridge *bridge, bool on)
{
  bridge_post (bridge, JOB_PRIMARY, 0, on, NULL);
}

/* --- life ---------------------------------------------------------------------------------------- */

VmClipBridge *
vm_clip_bridge_new (VmDisplay *display, const VmClipBridgeOps *ops, void *opaque)
{
  VmClipBridge *bridge = g_new0 (VmClipBridge, 1);
  VmLock *lock = vm_loop_lock (vm_display_loop (display));

  bridge->refs = 1;
  bridge->display = display;
  bridge->ops = ops;
  bridge->opaque = opaque;
  bridge->waker = vm_waker_new (bridge_wake, bridge);
  g_mutex_init (&bridge->mutex);
  bridge->peer.ops = &peer_ops;
  bridge->listener.ops = &listener_ops;
  bool taken = vm_lock_enter (lock);
  vm_clip_peer_add (vm_display_clipboard (display), &bridge->peer);
  vm_listener_add (display, &bridge->listener, NULL);
  vm_lock_leave (lock, taken);
  return bridge;
}

void
vm_clip_bridge_free (VmClipBridge *bridge)
{
  VmLock *lock = vm_loop_lock (vm_display_loop (bridge->display));
  bool taken = vm_lock_enter (lock);

  vm_clip_peer_remove (&bridge->peer);
  vm_listener_remove (bridge->display, &bridge->listener);
  vm_lock_leave (lock, taken);
  vm_waker_free (bridge->waker);
  bridge_unref (bridge);
}

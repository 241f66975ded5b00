/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The targets' side of a parallel SCSI bus (SPI-5; messages: SPI-5, 16). */
#include "devices/scsi/link.h"

#define BUFFER_MAX (256 * VM_KIB) /* of data under way of one command */
#define NEXUS_MAX  256            /* commands at a time: more are answered TASK SET FULL */

enum { /* messages */
  MSG_COMPLETE = 0x00, MSG_EXTENDED = 0x01, MSG_SAVE_POINTERS = 0x02, MSG_DISCONNECT = 0x04, MSG_ABORT = 0x06,
  MSG_REJECT = 0x07, MSG_NOP = 0x08, MSG_PARITY = 0x09, MSG_DEVICE_RESET = 0x0c, MSG_ABORT_TAG = 0x0d,
  MSG_CLEAR_QUEUE = 0x0e, MSG_SIMPLE_TAG = 0x20, MSG_IDENTIFY = 0x80,
};
enum { EXT_SYNC = 1, EXT_WIDE = 3 };
enum { IDENTIFY_MAY_DISCONNECT = 0x40, IDENTIFY_LUN = 0x3f };

struct VmScsiNexus {
  VmScsiLink    *link;
  VmScsiRequest *req;
  uint8_t        target, lun, tag_kind, tag;
  bool           may_disconnect, disconnected;
  bool           lent;     /* the device has the buffer */
  bool           wanted;   /* it wants it filled */
  bool           data;     /* bytes have moved since the last SAVE DATA POINTERS */
  bool           done, released, dead;
  uint8_t       *buffer;
  uint32_t       size;     /* allocated */
  uint32_t       at, end;  /* bytes in the buffer that the chip has not taken, or is to give */
  uint64_t       before;   /* bytes moved when the buffer was lent */
  struct iovec   iov;
};

/* --- commands under way ---------------------------------------------------------------------------- */

static void
nexus_free (void *data)
{
  VmScsiNexus *nexus = data;

  nexus->link->in_flight--;
  vm_scsi_request_unref (nexus->req);
  g_free (nexus->buffer);
  g_free (nexus);
}

/* The chip and the target have forgotten it; the device may still hold its buffer. */
static void
nexus_drop (VmScsiNexus *nexus)
{
  VmScsiLink *link = nexus->link;

  if (link->now == nexus)
    link->now = NULL;
  nexus->dead = true;
  if (nexus->released)
    g_ptr_array_remove_fast (link->nexuses, nexus);
}

static bool
nexus_ready (const VmScsiNexus *nexus)
{
  return !nexus->dead && (nexus->done || nexus->wanted || nexus->at < nexus->end);
}

static void
nexus_lend (VmScsiNexus *nexus, uint32_t len)
{
  nexus->lent = true;
  nexus->wanted = false;
  nexus->at = nexus->end = 0;
  nexus->before = nexus->req->moved;
  nexus->iov = (struct iovec) { nexus->buffer, len };
  vm_scsi_request_continue (nexus->req, &nexus->iov, 1);
}

static VmScsiNexus *
link_find_nexus (VmScsiLink *link, unsigned target, unsigned lun, unsigned tag_kind, unsigned tag)
{
  for (guint i = 0; i < link->nexuses->len; i++)
    {
      VmScsiNexus *nexus = g_ptr_array_index (link->nexuses, i);

      if (!nexus->dead && nexus->target == target && nexus->lun == lun && !nexus->tag_kind == !tag_kind
          && (!tag_kind || nexus->tag == tag))
        return nexus;
    }
  return NULL;
}

/* --- phases ---------------------------------------------------------------------------------------- */

static void
link_free (VmScsiLink *link)
{
  link->phase = VM_SCSI_PHASE_FREE;
  link->now = NULL;
  link->atn = link->identified = link->ack = link->free_after = link->status_sent = false;
  link->in_at = link->in_end = link->out_n = 0;
  link->tag_kind = 0;
}

static void
link_say (VmScsiLink *link, uint8_t message)
{
  if (link->in_at == link->in_end)
    link->in_at = link->in_end = 0;
  if (link->in_end < sizeof link->in)
    link->in[link->in_end++] = message;
}

static void
link_disconnect (VmScsiLink *link)
{
  VmScsiNexus *nexus = link->now;

  if (nexus->data)
    link_say (link, MSG_SAVE_POINTERS);
  link_say (link, MSG_DISCONNECT);
  nexus->data = false;
  nexus->disconnected = true;
  link->free_after = true;
}

/* Once, before the first byte of data in or after the last of data out: the chip's tables are not torn apart. */
static bool
nexus_at_rest (const VmScsiNexus *nexus)
{
  const VmScsiRequest *req = nexus->req;

  if (nexus->disconnected)
    return false;
  if (req->direction == VM_SCSI_TO_DEVICE)
    return nexus->before + nexus->iov.iov_len >= req->length;
  return !nexus->data;
}

/* The phase a command brings when messages have none to bring. */
static VmScsiPhase
nexus_phase (VmScsiLink *link, VmScsiNexus *nexus)
{
  if (nexus->at < nexus->end)
    return nexus->wanted ? VM_SCSI_PHASE_DATA_OUT : VM_SCSI_PHASE_DATA_IN;
  if (nexus->done)
    return VM_SCSI_PHASE_STATUS;
  if (nexus->may_disconnect && nexus_at_rest (nexus))
    {
      link_disconnect (link);
      return VM_SCSI_PHASE_MESSAGE_IN;
    }
  return VM_SCSI_PHASE_WAIT;
}

static void
link_next (VmScsiLink *link)
{
  if (link->phase == VM_SCSI_PHASE_FREE)
    return;
  if (link->ack)
    link->phase = VM_SCSI_PHASE_WAIT;
  else if (link->in_at < link->in_end)
    link->phase = VM_SCSI_PHASE_MESSAGE_IN;
  else if (link->free_after)
    link_free (link);
  else if (link->atn)
    link->phase = VM_SCSI_PHASE_MESSAGE_OUT;
  else if (link->status_sent)
    {
      link_say (link, MSG_COMPLETE);
      link->status_sent = false;
      link->free_after = true;
      link->phase = VM_SCSI_PHASE_MESSAGE_IN;
      if (link->now)
        nexus_drop (link->now);
    }
  else if (link->now)
    link->phase = nexus_phase (link, link->now);
  else
    link->phase = VM_SCSI_PHASE_COMMAND;
}

/* --- what devices say ------------------------------------------------------------------------------ */

static void
nexus_changed (VmScsiNexus *nexus)
{
  VmScsiLink *link = nexus->link;

  if (link->inside)
    return;
  if (link->now == nexus && link->phase == VM_SCSI_PHASE_WAIT)
    link_next (link);
  link->changed (link->opaque);
}

static void
link_transfer (VmScsiRequest *req)
{
  VmScsiNexus *nexus = req->hba;
  uint64_t left = req->length > req->moved ? req->length - req->moved : 0;
  uint32_t len = MIN (left, BUFFER_MAX);

  if (!nexus->buffer)
    nexus->buffer = g_malloc (nexus->size = MAX (len, 1));
  len = MIN (len, nexus->size);
  if (len == 0)
    vm_scsi_request_continue (req, NULL, 0);
  else if (req->direction == VM_SCSI_TO_DEVICE)
    {
      nexus->wanted = true;
      nexus->lent = false;
      nexus->at = 0;
      nexus->end = len;
      nexus_changed (nexus);
    }
  else if (!nexus->lent)
    nexus_lend (nexus, len);
  else
    {
      nexus->lent = false;
      nexus->at = 0;
      nexus->end = req->moved - nexus->before;
      nexus_changed (nexus);
    }
}

static void
link_complete (VmScsiRequest *req)
{
  VmScsiNexus *nexus = req->hba;

  nexus->done = true;
  nexus->wanted = false;
  nexus->at = nexus->end = 0;
  if (nexus->lent && req->direction == VM_SCSI_FROM_DEVICE)
    nexus->end = req->moved - nexus->before;
  nexus->lent = false;
  nexus_changed (nexus);
}

static void
link_released (VmScsiRequest *req)
{
  VmScsiNexus *nexus = req->hba;
  VmScsiLink *link = nexus->link;
  bool connected = link->now == nexus;

  nexus->released = true;
  if (!req->cancelled)
    return;
  nexus_drop (nexus);
  if (!connected || link->inside)
    return;
  link_free (link); /* the target lets go */
  link->changed (link->opaque);
}

/* --- messages from the chip ------------------------------------------------------------------------ */

static void
link_abort (VmScsiLink *link, bool only_tag)
{
  VmScsiDevice *dev = vm_scsi_bus_find (&link->bus, 0, link->target, link->lun);
  VmScsiNexus *nexus = only_tag ? link_find_nexus (link, link->target, link->lun, link->tag_kind, link->tag) : NULL;

  if (nexus)
    {
      nexus->dead = true;
      vm_scsi_request_cancel (nexus->req);
    }
  else if (dev && !only_tag)
    vm_scsi_device_abort_all (dev);
  /* What had ended, but was not told. */
  for (guint i = link->nexuses->len; i-- > 0;)
    {
      nexus = g_ptr_array_index (link->nexuses, i);
      if (nexus->released && nexus->target == link->target && nexus->lun == link->lun
          && (!only_tag || nexus->tag == link->tag))
        nexus_drop (nexus);
    }
}

static void
link_reset_target (VmScsiLink *link)
{
  vm_scsi_target_reset (&link->bus, 0, link->target);
  for (guint i = link->nexuses->len; i-- > 0;)
    {
      VmScsiNexus *nexus = g_ptr_array_index (link->nexuses, i);

      if (nexus->released && nexus->target == link->target)
        nexus_drop (nexus);
    }
}

/* Synchronous and wide transfers: whatever speed is proposed is agreed on, eight bits wide. */
static void
link_negotiate (VmScsiLink *link, const uint8_t *m, unsigned len)
{
  if (m[2] == EXT_SYNC && len >= 5)
    for (unsigned i = 0; i < 5; i++)
      link_say (link, m[i]);
  else if (m[2] == EXT_WIDE && len >= 4)
    {
      for (unsigned i = 0; i < 3; i++)
        link_say (link, m[i]);
      link_say (link, 0);
    }
  else
    link_say (link, MSG_REJECT);
}

/* One message of LEN bytes. */
static void
link_obey (VmScsiLink *link, const uint8_t *m, unsigned len)
{
  if (m[0] & MSG_IDENTIFY)
    {
      link->identified = true;
      link->lun = m[0] & IDENTIFY_LUN;
      link->may_disconnect = m[0] & IDENTIFY_MAY_DISCONNECT;
      return;
    }
  switch (m[0])
    {
    case MSG_SIMPLE_TAG:
    case MSG_SIMPLE_TAG + 1:
    case MSG_SIMPLE_TAG + 2:
      link->tag_kind = m[0];
      link->tag = m[1];
      break;
    case MSG_EXTENDED:
      link_negotiate (link, m, len);
      break;
    case MSG_ABORT:
    case MSG_CLEAR_QUEUE:
      link_abort (link, false);
      link->free_after = true;
      break;
    case MSG_ABORT_TAG:
      link_abort (link, true);
      link->free_after = true;
      break;
    case MSG_DEVICE_RESET:
      link_reset_target (link);
      link->free_after = true;
      break;
    case MSG_COMPLETE: /* SeaBIOS's idea of IDENTIFY for unit 0 */
    case MSG_NOP:
    case MSG_REJECT:
    case MSG_PARITY:
      break;
    default:
      link_say (link, MSG_REJECT);
      break;
    }
}

static unsigned
message_length (const uint8_t *m, unsigned known)
{
  if (m[0] == MSG_EXTENDED)
    return known < 2 ? 2 : 2 + (m[1] ? m[1] : 256u);
  return m[0] >= 0x20 && m[0] <= 0x2f ? 2 : 1;
}

static uint32_t
link_write_messages (VmScsiLink *link, const uint8_t *buf, uint32_t len)
{
  for (uint32_t i = 0; i < len; i++)
    {
      link->out[link->out_n++] = buf[i];

      unsigned want = message_length (link->out, link->out_n);

      if (want > sizeof link->out || link->out_n == sizeof link->out)
        {
          link_say (link, MSG_REJECT);
          link->out_n = 0;
        }
      else if (link->out_n >= want)
        {
          link_obey (link, link->out, link->out_n);
          link->out_n = 0;
        }
    }
  return len;
}

/* --- commands and data ----------------------------------------------------------------------------- */

/* Without a request: the target answers by itself. */
static void
link_answer (VmScsiLink *link, VmScsiNexus *nexus, uint8_t status)
{
  VmScsiRequest *req = nexus->req;

  req->status = status;
  nexus->released = nexus->done = true;
}

static void
link_start (VmScsiLink *link)
{
  VmScsiNexus *nexus, *same;
  unsigned lun = link->identified ? link->lun : link->out[1] >> 5;
  VmScsiRequest *req;

  /* A second command for the same tag means that the chip has lost its mind: both end (SAM-5, 5.11). */
  same = link_find_nexus (link, link->target, lun, link->tag_kind, link->tag);
  if (same)
    {
      same->dead = true;
      vm_scsi_request_cancel (same->req);
      if (same->released)
        nexus_drop (same);
    }
  nexus = g_new0 (VmScsiNexus, 1);
  nexus->link = link;
  nexus->target = link->target;
  nexus->lun = lun;
  nexus->tag_kind = link->tag_kind;
  nexus->tag = link->tag;
  nexus->may_disconnect = link->identified && link->may_disconnect && !link->stays;
  nexus->req = req = vm_scsi_request_new (&link->bus, 0, link->target, lun, link->tag_kind ? link->tag : 256, link->out,
                                          link->out_n, nexus);
  link->out_n = 0;
  if (!req)
    {
      g_free (nexus); /* pulled out since it was selected */
      link_free (link);
      return;
    }
  link->now = nexus;
  g_ptr_array_add (link->nexuses, nexus);
  link->in_flight++;
  if (link->nexuses->len > NEXUS_MAX)
    link_answer (link, nexus, VM_SCSI_TASK_SET_FULL);
  else if (same)
    link_answer (link, nexus, VM_SCSI_TASK_ABORTED);
  else
    vm_scsi_request_start (req, NULL, 0);
}

static uint32_t
link_write_command (VmScsiLink *link, const uint8_t *buf, uint32_t len)
{
  for (uint32_t i = 0; i < len && link->phase == VM_SCSI_PHASE_COMMAND; i++)
    {
      unsigned want;

      link->out[link->out_n++] = buf[i];
      /* A vendor's group ends where the chip's transfer does. */
      want = link->out[0] == 0x7f && link->out_n < 8 ? 8 : vm_scsi_cdb_length (link->out);
      if (want ? link->out_n >= MIN (want, sizeof link->out) : i == len - 1 || link->out_n == sizeof link->out)
        {
          link_start (link);
          link->phase = link->phase == VM_SCSI_PHASE_FREE ? link->phase : VM_SCSI_PHASE_WAIT;
        }
    }
  return len; /* SeaBIOS always sends 16 bytes: the rest goes nowhere */
}

static uint32_t
link_write_data (VmScsiLink *link, const uint8_t *buf, uint32_t len)
{
  VmScsiNexus *nexus = link->now;
  uint32_t n = MIN (len, nexus->end - nexus->at);

  memcpy (nexus->buffer + nexus->at, buf, n);
  nexus->at += n;
  nexus->data = true;
  if (nexus->at == nexus->end)
    nexus_lend (nexus, nexus->end);
  return n;
}

uint32_t
vm_scsi_link_write (VmScsiLink *link, const void *buf, uint32_t len)
{
  uint32_t n = 0;

  link->inside++;
  switch (link->phase)
    {
    case VM_SCSI_PHASE_MESSAGE_OUT:
      n = link_write_messages (link, buf, len);
      break;
    case VM_SCSI_PHASE_COMMAND:
      n = link_write_command (link, buf, len);
      break;
    case VM_SCSI_PHASE_DATA_OUT:
      n = link_write_data (link, buf, len);
      break;
    default:
      break;
    }
  link_next (link);
  link->inside--;
  return n;
}

static uint32_t
link_read_data (VmScsiLink *link, uint8_t *buf, uint32_t len)
{
  VmScsiNexus *nexus = link->now;
  uint32_t n = MIN (len, nexus->end - nexus->at);

  memcpy (buf, nexus->buffer + nexus->at, n);
  nexus->at += n;
  nexus->data = true;
  if (nexus->at == nexus->end && !nexus->done)
    nexus_lend (nexus, MIN (nexus->size, nexus->req->length - nexus->req->moved));
  return n;
}

uint32_t
vm_scsi_link_read (VmScsiLink *link, void *buf, uint32_t len)
{
  uint32_t n = 0;

  if (!len)
    return 0;
  link->inside++;
  switch (link->phase)
    {
    case VM_SCSI_PHASE_MESSAGE_IN:
      n = MIN (len, (uint32_t) (link->in_end - link->in_at));
      memcpy (buf, link->in + link->in_at, n);
      link->in_at += n;
      link->ack = true;
      break;
    case VM_SCSI_PHASE_STATUS:
      *(uint8_t *) buf = link->now->req->status;
      link->status_sent = true;
      n = 1;
      break;
    case VM_SCSI_PHASE_DATA_IN:
      n = link_read_data (link, buf, len);
      break;
    default:
      break;
    }
  link_next (link);
  link->inside--;
  return n;
}

void
vm_scsi_link_accept (VmScsiLink *link)
{
  if (!link->ack)
    return;
  link->ack = false;
  link_next (link);
}

/* --- connections ----------------------------------------------------------------------------------- */

bool
vm_scsi_link_select (VmScsiLink *link, unsigned target, bool atn)
{
  if (!vm_scsi_bus_find (&link->bus, 0, target, VM_SCSI_LUN_NONE))
    return false;
  link_free (link);
  link->target = target;
  link->lun = 0;
  link->may_disconnect = false;
  link->atn = atn;
  link->phase = atn ? VM_SCSI_PHASE_MESSAGE_OUT : VM_SCSI_PHASE_COMMAND;
  return true;
}

static VmScsiNexus *
link_next_ready (const VmScsiLink *link)
{
  for (guint i = 0; i < link->nexuses->len; i++)
    if (nexus_ready (g_ptr_array_index (link->nexuses, i)))
      return g_ptr_array_index (link->nexuses, i);
  return NULL;
}

bool
vm_scsi_link_wants_reselect (const VmScsiLink *link)
{
  return link->phase == VM_SCSI_PHASE_FREE && link_next_ready (link);
}

unsigned
vm_scsi_link_reselect (VmScsiLink *link)
{
  VmScsiNexus *nexus = link_next_ready (link);

  link_free (link);
  if (!nexus)
    return 0;
  link->now = nexus;
  link->target = nexus->target;
  link->lun = nexus->lun;
  link->identified = true;
  link_say (link, MSG_IDENTIFY | nexus->lun);
  if (nexus->tag_kind)
    {
      link_say (link, MSG_SIMPLE_TAG);
      link_say (link, nexus->tag);
    }
  link->phase = VM_SCSI_PHASE_MESSAGE_IN;
  return nexus->target;
}

void
vm_scsi_link_set_atn (VmScsiLink *link, bool on)
{
  bool was = link->atn;

  if (link->phase == VM_SCSI_PHASE_FREE)
    return;
  link->atn = on;
  /* A target looks at the line between bytes of its own making, at the end of a message out, and before a command. */
  if (was != on && (link->phase == VM_SCSI_PHASE_MESSAGE_OUT || link->phase == VM_SCSI_PHASE_WAIT
                    || (link->phase == VM_SCSI_PHASE_COMMAND && !link->out_n)))
    link_next (link);
}

static void
link_forget_commands (VmScsiLink *link)
{
  for (guint i = link->nexuses->len; i-- > 0;)
    {
      VmScsiNexus *nexus = g_ptr_array_index (link->nexuses, i);

      nexus->dead = true;
      if (nexus->released)
        g_ptr_array_remove_index_fast (link->nexuses, i);
      else
        vm_scsi_request_cancel (nexus->req); /* may take it out of the list */
      i = MIN (i, link->nexuses->len);
    }
}

void
vm_scsi_link_reset (VmScsiLink *link, bool reset_targets)
{
  link->inside++;
  link_free (link);
  if (reset_targets)
    vm_scsi_bus_reset (&link->bus);
  link_forget_commands (link);
  link->inside--;
}

bool
vm_scsi_link_loaded (VmScsiLink *link, bool *lost)
{
  uint32_t saved = link->in_flight; /* of the saved machine; the list is of this one */

  link->in_flight = link->nexuses->len;
  link->now = NULL;
  link->inside++;
  link_forget_commands (link);
  link->inside--;
  *lost = saved != 0;
  if (link->phase > VM_SCSI_PHASE_FREE || link->in_at > link->in_end || link->in_end > sizeof link->in
      || link->out_n >= sizeof link->out)
    return false;
  *lost |= link->phase != VM_SCSI_PHASE_FREE;
  return true;
}

/* --- life ------------------------------------------------------------------------------------------ */

void
vm_scsi_link_init (VmScsiLink *link, VmDevice *owner, unsigned max_target, unsigned max_lun, unsigned host_id,
                   void (*changed) (void *opaque), void *opaque)
{
  link->ops = (VmScsiBusOps) {
    .tcq = true, .max_target = max_target, .max_lun = max_lun, .host_id = host_id,
    .transfer = link_transfer, .complete = link_complete, .released = link_released,
  };
  vm_scsi_bus_init (&link->bus, owner, NULL, &link->ops, link);
  link->nexuses = g_ptr_array_new_with_free_func (nexus_free);
  link->changed = changed;
  link->opaque = opaque;
  link->phase = VM_SCSI_PHASE_FREE;
}

void
vm_scsi_link_destroy (VmScsiLink *link)
{
  vm_scsi_link_reset (link, false);
  g_clear_pointer (&link->nexuses, g_ptr_array_unref);
}

const VmField vm_scsi_link_state[] = {
  VM_FIELD (VmScsiLink, phase),
  VM_FIELD (VmScsiLink, target),
  VM_FIELD (VmScsiLink, lun),
  VM_FIELD (VmScsiLink, tag_kind),
  VM_FIELD (VmScsiLink, tag),
  VM_FIELD (VmScsiLink, atn),
  VM_FIELD (VmScsiLink, identified),
  VM_FIELD (VmScsiLink, may_disconnect),
  VM_FIELD (VmScsiLink, ack),
  VM_FIELD (VmScsiLink, free_after),
  VM_FIELD (VmScsiLink, status_sent),
  VM_FIELD_ARRAY (VmScsiLink, in),
  VM_FIELD_ARRAY (VmScsiLink, out),
  VM_FIELD (VmScsiLink, in_at),
  VM_FIELD (VmScsiLink, in_end),
  VM_FIELD (VmScsiLink, out_n),
  VM_FIELD (VmScsiLink, in_flight),
  { 0 },
};

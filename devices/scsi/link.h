/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A parallel SCSI bus as an initiator chip sees it: selection, phases, messages, disconnection and reselection (SPI-5,
 * SAM-5 annex). Data moves through a buffer per command, in pieces of any size. */
#pragma once

#include "devices/scsi/scsi.h"

typedef enum VmScsiPhase { /* MSG, C/D and I/O as bits 2 to 0 */
  VM_SCSI_PHASE_DATA_OUT = 0, VM_SCSI_PHASE_DATA_IN = 1, VM_SCSI_PHASE_COMMAND = 2, VM_SCSI_PHASE_STATUS = 3,
  VM_SCSI_PHASE_MESSAGE_OUT = 6, VM_SCSI_PHASE_MESSAGE_IN = 7,
  VM_SCSI_PHASE_WAIT = 8, /* connected, but the target asks for nothing yet */
  VM_SCSI_PHASE_FREE = 9, /* nobody has the bus */
} VmScsiPhase;

typedef struct VmScsiLink  VmScsiLink;
typedef struct VmScsiNexus VmScsiNexus;

struct VmScsiLink {
  VmScsiBus    bus;
  VmScsiBusOps ops;
  void       (*changed) (void *opaque); /* a target that was waited for goes on, or wants to reselect */
  void        *opaque;
  VmScsiNexus *now;       /* the command of the connection */
  GPtrArray   *nexuses;   /* all commands */
  unsigned     inside;    /* changes are the chip's own doing */
  bool         stays;     /* targets never disconnect */
  /* guest state */
  uint8_t      phase;     /* VmScsiPhase */
  uint8_t      target, lun;
  uint8_t      tag_kind, tag; /* of messages; 0: untagged */
  bool         atn, identified, may_disconnect;
  bool         ack;       /* held after a message byte: the target waits */
  bool         free_after; /* the bus, when the messages are through */
  bool         status_sent;
  uint8_t      in[32], out[32]; /* messages, the command block */
  uint8_t      in_at, in_end, out_n;
  uint32_t     in_flight; /* commands: the length of the list */
};

void vm_scsi_link_init (VmScsiLink *link, VmDevice *owner, unsigned max_target, unsigned max_lun, unsigned host_id,
                        void (*changed) (void *opaque), void *opaque);
void vm_scsi_link_destroy (VmScsiLink *link);
/* The chip forgets everything; RESET_TARGETS: with the RST line. */
void vm_scsi_link_reset (VmScsiLink *link, bool reset_targets);

/* False: nobody answers. The bus must be free. */
bool vm_scsi_link_select (VmScsiLink *link, unsigned target, bool atn);
/* Whether a target wants the bus; vm_scsi_link_reselect() gives it and tells which. */
bool vm_scsi_link_wants_reselect (const VmScsiLink *link);
unsigned vm_scsi_link_reselect (VmScsiLink *link);
void vm_scsi_link_set_atn (VmScsiLink *link, bool on);
/* Takes or gives up to LEN bytes in the present phase, if that is one for it; how many. After message bytes in, the
 * target waits for vm_scsi_link_accept(). */
uint32_t vm_scsi_link_write (VmScsiLink *link, const void *buf, uint32_t len);
uint32_t vm_scsi_link_read (VmScsiLink *link, void *buf, uint32_t len);
void vm_scsi_link_accept (VmScsiLink *link);

extern const VmField vm_scsi_link_state[];
/* After a load; false: impossible state. With LOST, commands or a connection were under way whose buffers are not
 * saved: the chip resets the bus and tells the guest, which begins again. */
bool vm_scsi_link_loaded (VmScsiLink *link, bool *lost);

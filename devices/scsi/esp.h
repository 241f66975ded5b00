/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 53C9X core ("Enhanced SCSI Processor"), as it is in the Am53C974: registers and command states. What moves bytes
 * to memory is around it. */
#pragma once

#include "devices/scsi/link.h"

#define VM_ESP_FIFO 16

enum { /* registers, by number */
  ESP_TCLOW = 0, ESP_TCMED = 1, ESP_FIFO = 2, ESP_CMD = 3, ESP_STATUS = 4, ESP_INTR = 5, ESP_STEP = 6, ESP_FLAGS = 7,
  ESP_CFG1 = 8, ESP_CLOCK = 9, ESP_TEST = 10, ESP_CFG2 = 11, ESP_CFG3 = 12, ESP_CFG4 = 13, ESP_TCHI = 14, ESP_REGS = 16,
};

typedef struct VmEspOps {
  /* Moves up to LEN bytes between BUF and memory; how many: 0 while the engine is off or has no more to give. */
  uint32_t (*dma) (void *opaque, uint8_t *buf, uint32_t len, bool to_memory);
  void     (*interrupt) (void *opaque, bool level);
} VmEspOps;

typedef struct VmEsp {
  VmScsiLink      link;
  const VmEspOps *ops;
  void           *opaque;
  bool            inside;
  /* guest state */
  uint8_t         fifo[VM_ESP_FIFO], fifo_n;
  uint8_t         command, status, intr, step;
  uint8_t         select_id, cfg1, cfg2, cfg3, cfg4, clock, timeout, sync_period, sync_offset;
  uint32_t        count_start, count;
  bool            count_high_set; /* since reset: until then the high byte tells who the chip is */
  uint8_t         busy;           /* what goes on: EspBusy */
  bool            phase_known;    /* of a transfer that has begun */
  uint8_t         messages;       /* bytes of a selection's message left */
  uint8_t         pending_intr;   /* raised when the target asks for its next byte */
  bool            connected;
} VmEsp;

extern const VmField vm_esp_state[];

void    vm_esp_init (VmEsp *esp, VmDevice *owner, const VmEspOps *ops, void *opaque);
void    vm_esp_destroy (VmEsp *esp);
void    vm_esp_reset (VmEsp *esp);
bool    vm_esp_loaded (VmEsp *esp);
uint8_t vm_esp_read (VmEsp *esp, unsigned reg);
void    vm_esp_write (VmEsp *esp, unsigned reg, uint8_t value);
/* The engine was started. */
void    vm_esp_dma_ready (VmEsp *esp);

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LSI SAS1068: between the parts. */
#pragma once

#include "devices/scsi/scsi-dma.h"

#define MPT_PORTS       8
#define MPT_FRAME_MAX   128 /* bytes of a request */
#define MPT_REPLY_MAX   80  /* of a reply */
#define MPT_QUEUE_DEPTH 128
#define MPT_POST_DEPTH  1024 /* room for two answers to each request the guest may have out, and events */

enum { /* function codes */
  MPT_SCSI_IO = 0x00, MPT_TASK_MGMT = 0x01, MPT_IOC_INIT = 0x02, MPT_IOC_FACTS = 0x03, MPT_CONFIG = 0x04,
  MPT_PORT_FACTS = 0x05, MPT_PORT_ENABLE = 0x06, MPT_EVENT_NOTIFICATION = 0x07, MPT_EVENT_ACK = 0x08,
  MPT_SAS_IO_UNIT_CONTROL = 0x1b,
};
enum { /* IOCStatus */
  MPT_OK = 0x00, MPT_INVALID_FUNCTION = 0x01, MPT_BUSY = 0x02, MPT_INVALID_SGL = 0x03, MPT_NO_RESOURCES = 0x06,
  MPT_INVALID_FIELD = 0x07, MPT_INVALID_STATE = 0x08, MPT_CONFIG_INVALID_ACTION = 0x20,
  MPT_CONFIG_INVALID_TYPE = 0x21, MPT_CONFIG_INVALID_PAGE = 0x22, MPT_CONFIG_CANT_COMMIT = 0x25,
  MPT_INVALID_BUS = 0x41, MPT_INVALID_TARGET = 0x42, MPT_DEVICE_NOT_THERE = 0x43, MPT_DATA_OVERRUN = 0x44,
  MPT_DATA_UNDERRUN = 0x45, MPT_TASK_TERMINATED = 0x48,
};
enum { /* the head of requests and replies */
  M_CHAIN_OFFSET = 0x02, M_LENGTH = 0x02, M_FUNCTION = 0x03, M_FLAGS = 0x07, M_CONTEXT = 0x08, M_IOC_STATUS = 0x0e,
};
enum { /* CONFIG, requests and replies */
  CONFIG_ACTION = 0x00, CONFIG_EXT_LENGTH = 0x04, CONFIG_EXT_TYPE = 0x06, CONFIG_HEADER = 0x14, CONFIG_ADDRESS = 0x18,
  CONFIG_SGE = 0x1c, CONFIG_REPLY = 0x18,
};

typedef struct Mptsas {
  VmPciDevice parent;
  /* properties */
  VmOnOffAuto msi;
  uint64_t    sas_address;
  /* wiring */
  VmRegion    mmio, io, diag;
  VmScsiBus   bus;
  uint32_t    in_flight;
  /* guest state */
  uint32_t    state;          /* of the IOC: bits 31 to 28 of the doorbell */
  uint32_t    int_status, int_mask;
  uint32_t    sequence;       /* keys written to WriteSequence so far */
  uint32_t    diagnostic;
  uint32_t    who_init, max_devices, max_buses, reply_size; /* of IOC_INIT */
  uint64_t    high_addr, sense_high;
  bool        events_on;
  uint32_t    event_message;  /* context of the request that switched them on */
  uint32_t    event_context;
  uint32_t    handshake;      /* what the doorbell is used for: see mptsas.c */
  uint32_t    message_at, message_n; /* bytes of MESSAGE moved, and all of them */
  uint8_t     message[MPT_FRAME_MAX];
  uint32_t    free_head, free_tail, post_head, post_tail; /* counters: the index is what is left modulo the depth */
  uint32_t    free_list[MPT_QUEUE_DEPTH];
  uint32_t    post_list[MPT_POST_DEPTH];
} Mptsas;

/* Answers a configuration request in REPLY (CONFIG_REPLY bytes); what page there is goes to guest memory. */
void mptsas_config (Mptsas *s, const uint8_t *request, uint8_t *reply);
/* What is at a port, or NULL. */
VmScsiDevice *mptsas_device (Mptsas *s, unsigned port);
uint64_t mptsas_device_address (const Mptsas *s, unsigned port);
uint16_t mptsas_handle (unsigned port);
uint32_t mptsas_device_info (const VmScsiDevice *dev);
/* The list of memory at BYTE of REQUEST, at ADDR in guest memory (0: it is nowhere there); false: it is bad. */
bool mptsas_read_sgl (Mptsas *s, VmDmaSg *sg, const uint8_t *request, unsigned at, uint64_t addr);

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PS/2 keyboard and mouse (IBM PS/2 Hardware Interface Technical Reference; Microsoft's IntelliMouse extension), as
 * plain structs that a controller owns. */
#pragma once

#include "engine/input/input.h"

#define VM_PS2_QUEUE 256

typedef struct VmPs2Queue {
  uint8_t  data[VM_PS2_QUEUE];
  uint32_t head, count;
} VmPs2Queue;

typedef struct VmPs2Port { /* what both have in common */
  VmIrq      changed;    /* level: there is a byte to take */
  VmPs2Queue queue;
  int32_t    command;    /* waits for its parameter; -1: none */
} VmPs2Port;

typedef struct VmPs2Kbd {
  VmPs2Port       port;
  VmInput        *input;
  VmInputHandler *handler;
  /* guest state */
  uint8_t scan_enabled, scan_set; /* 1, 2, 3 */
  uint8_t leds, typematic;
  bool    translate;     /* the controller turns set 2 into set 1: keys are queued as set 1 at once */
} VmPs2Kbd;

typedef struct VmPs2Mouse {
  VmPs2Port       port;
  VmInput        *input;
  VmInputHandler *handler;
  /* guest state */
  uint8_t status;        /* bit 6 remote, 5 enabled, 4 scaling 2:1 */
  uint8_t resolution, sample_rate;
  uint8_t wrap, type;    /* type: 0 plain, 3 wheel, 4 five buttons */
  uint8_t detect;        /* progress of the magic sample rate sequence */
  int32_t dx, dy, dz;
  uint8_t buttons;       /* left 1, right 2, middle 4, side 8, extra 16 */
  uint8_t sent_buttons;
} VmPs2Mouse;

extern const VmField vm_ps2_kbd_state[];
extern const VmField vm_ps2_mouse_state[];

void    vm_ps2_kbd_attach (VmPs2Kbd *kbd, VmInput *input);
void    vm_ps2_kbd_detach (VmPs2Kbd *kbd);
void    vm_ps2_kbd_reset (VmPs2Kbd *kbd);
void    vm_ps2_kbd_write (VmPs2Kbd *kbd, uint8_t byte);
void    vm_ps2_kbd_set_translation (VmPs2Kbd *kbd, bool on);

void    vm_ps2_mouse_attach (VmPs2Mouse *mouse, VmInput *input);
void    vm_ps2_mouse_detach (VmPs2Mouse *mouse);
void    vm_ps2_mouse_reset (VmPs2Mouse *mouse);
void    vm_ps2_mouse_write (VmPs2Mouse *mouse, uint8_t byte);
/* The absolute pointer of vmmouse wakes the driver with an empty packet. */
void    vm_ps2_mouse_fake_event (VmPs2Mouse *mouse);

/* The oldest byte, or the last one again when empty; updates the line. */
uint8_t vm_ps2_port_read (VmPs2Port *port);
static inline bool
vm_ps2_port_ready (const VmPs2Port *port)
{
  return port->queue.count > 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 16550A UART as a plain struct, for the buses that carry it. */
#pragma once

#include "engine/bus/device.h"
#include "engine/char/char.h"

#define UART_FIFO 16

typedef struct Uart16550 {
  /* properties */
  VmCharFe chr;
  uint32_t baudbase;     /* input clock / 16, in Hz */
  bool     wakeup;
  /* wiring */
  VmIrq     irq;
  VmDevice *dev;
  VmTimer   timeout, modem_poll;
  /* guest state; names and bits as in the data sheet */
  uint16_t divisor;
  uint8_t  ier, iir, fcr, lcr, mcr, lsr, msr, scr, rbr;
  uint8_t  rx[UART_FIFO], rx_head, rx_count;
  uint8_t  tx[UART_FIFO], tx_head, tx_count, tsr;
  bool     tsr_full;     /* the shift register holds TSR */
  bool     thre_pending; /* transmitter empty interrupt not yet seen by reading IIR */
  bool     timeout_pending, break_sent;
} Uart16550;

extern const VmProp  uart16550_props[];
extern const VmField uart16550_state[];
extern const VmRegionOps uart16550_ops; /* eight registers, opaque Uart16550 */

bool uart16550_attach (Uart16550 *uart, VmDevice *dev, VmIrq irq, GError **error);
void uart16550_detach (Uart16550 *uart);
void uart16550_reset (Uart16550 *uart);
bool uart16550_post_load (Uart16550 *uart, GError **error);

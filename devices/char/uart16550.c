/* SPDX-License-Identifier: GPL-3.0-or-later */
/* 16550A UART (National Semiconductor PC16550D data sheet, section 8). Characters take their time on the line only
 * where a guest could see it: the receiver's time-out and the transmitter's back-pressure. */
#include "devices/char/uart16550.h"

#include "engine/base/trace.h"

enum { IER_RDI = 1 << 0, IER_THRI = 1 << 1, IER_RLSI = 1 << 2, IER_MSI = 1 << 3 };
enum { IIR_NO_INT = 1, IIR_MSI = 0, IIR_THRI = 2, IIR_RDI = 4, IIR_RLSI = 6, IIR_CTI = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1 << 0, FCR_RX_RESET = 1 << 1, FCR_TX_RESET = 1 << 2, FCR_STORED = 0xc9 };
enum { LCR_BREAK = 1 << 6, LCR_DLAB = 1 << 7 };
enum { MCR_DTR = 1 << 0, MCR_RTS = 1 << 1, MCR_OUT1 = 1 << 2, MCR_OUT2 = 1 << 3, MCR_LOOP = 1 << 4 };
enum { LSR_DR = 1 << 0, LSR_OE = 1 << 1, LSR_BI = 1 << 4, LSR_THRE = 1 << 5, LSR_TEMT = 1 << 6, LSR_ERRORS = 0x1e };
enum { MSR_DCTS = 1 << 0, MSR_TERI = 1 << 2, MSR_DELTA = 0x0f, MSR_CTS = 1 << 4, MSR_DSR = 1 << 5, MSR_RI = 1 << 6,
       MSR_DCD = 1 << 7 };

static unsigned
uart_fifo_size (const Uart16550 *u)
{
  return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned
uart_trigger (const Uart16550 *u)
{
  static const uint8_t levels[4] = { 1, 4, 8, 14 };

  return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* ns one character takes on the line */
static int64_t
uart_char_ns (const Uart16550 *u)
{
  unsigned bits = 1 + 5 + (u->lcr & 3) + (u->lcr & 4 ? 2 : 1) + (u->lcr & 8 ? 1 : 0);
  uint32_t divisor = u->divisor ? u->divisor : 1;

  return VM_NS_PER_SEC * bits * divisor / MAX (u->baudbase, 1);
}

static int64_t
uart_now (const Uart16550 *u)
{
  return vm_clock_now (u->dev->env->clocks, VM_CLOCK_VIRTUAL);
}

/* Highest priority first (data sheet, table III). */
static void
uart_update_irq (Uart16550 *u)
{
  uint8_t cause = IIR_NO_INT;

  if ((u->ier & IER_RLSI) && (u->lsr & LSR_ERRORS))
    cause = IIR_RLSI;
  else if ((u->ier & IER_RDI) && u->timeout_pending)
    cause = IIR_CTI;
  else if ((u->ier & IER_RDI) && (u->lsr & LSR_DR) && u->rx_count >= uart_trigger (u))
    cause = IIR_RDI;
  else if ((u->ier & IER_THRI) && u->thre_pending)
    cause = IIR_THRI;
  else if ((u->ier & IER_MSI) && (u->msr & MSR_DELTA))
    cause = IIR_MSI;
  u->iir = cause | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
  vm_irq_set (&u->irq, cause != IIR_NO_INT);
}

/* --- receiver ------------------------------------------------------------------------------------ */

static void
uart_receive_byte (Uart16550 *u, uint8_t byte)
{
  if (u->rx_count >= uart_fifo_size (u))
    {
      u->lsr |= LSR_OE;
      if (u->fcr & FCR_ENABLE)
        return; /* the FIFO keeps its contents, the new character is lost */
      u->rx_count = 0;
    }
  u->rx[(u->rx_head + u->rx_count++) % UART_FIFO] = byte;
  u->lsr |= LSR_DR;
}

/* Four characters' time without a read: a FIFO below its trigger level wants service too. */
static void
uart_restart_timeout (Uart16550 *u)
{
  u->timeout_pending = false;
  if ((u->fcr & FCR_ENABLE) && u->rx_count)
    vm_timer_set (&u->timeout, uart_now (u) + 4 * uart_char_ns (u));
  else
    vm_timer_cancel (&u->timeout);
}

static void
uart_timeout (void *opaque)
{
  Uart16550 *u = opaque;

  u->timeout_pending = u->rx_count > 0;
  uart_update_irq (u);
}

static size_t
uart_can_receive (void *opaque)
{
  Uart16550 *u = opaque;

  if (u->mcr & MCR_LOOP)
    return 0;
  return uart_fifo_size (u) - MIN (u->rx_count, uart_fifo_size (u));
}

static void
uart_receive (void *opaque, const uint8_t *buf, size_t len)
{
  Uart16550 *u = opaque;

  if (u->wakeup)
    u->dev->env->request_wakeup (u->dev->env->machine);
  for (size_t i = 0; i < len; i++)
    uart_receive_byte (u, buf[i]);
  uart_restart_timeout (u);
  uart_update_irq (u);
}

static uint8_t
uart_read_rbr (Uart16550 *u)
{
  if (u->rx_count)
    {
      u->rbr = u->rx[u->rx_head];
      u->rx_head = (u->rx_head + 1) % UART_FIFO;
      u->rx_count--;
    }
  if (!u->rx_count)
    u->lsr &= ~(LSR_DR | LSR_BI);
  uart_restart_timeout (u);
  uart_update_irq (u);
  vm_char_fe_accept_input (&u->chr);
  return u->rbr;
}

static void
uart_event (void *opaque, VmCharEvent event)
{
  Uart16550 *u = opaque;

  if (event != VM_CHAR_BREAK)
    return;
  /* A break is a zero character with its flag. */
  uart_receive_byte (u, 0);
  u->lsr |= LSR_BI;
  uart_update_irq (u);
}

/* --- transmitter ---------------------------------------------------------------------------------- */

static void
uart_loop_back (Uart16550 *u, uint8_t byte)
{
  uart_receive_byte (u, byte);
  uart_restart_timeout (u);
}

/* Moves characters to the back end until it takes no more. */
static void
uart_transmit (Uart16550 *u)
{
  while (u->tsr_full || u->tx_count)
    {
      if (!u->tsr_full)
        {
          u->tsr = u->tx[u->tx_head];
          u->tx_head = (u->tx_head + 1) % UART_FIFO;
          u->tx_count--;
          u->tsr_full = true;
        }
      if (u->mcr & MCR_LOOP)
        uart_loop_back (u, u->tsr);
      else if (vm_char_fe_write (&u->chr, &u->tsr, 1) != 1)
        break; /* "writable" goes on */
      u->tsr_full = false;
    }
  if (!u->tx_count && !(u->lsr & LSR_THRE))
    {
      u->lsr |= LSR_THRE;
      u->thre_pending = true;
    }
  if (!u->tsr_full && !u->tx_count)
    u->lsr |= LSR_TEMT;
}

static void
uart_writable (void *opaque)
{
  Uart16550 *u = opaque;

  uart_transmit (u);
  uart_update_irq (u);
}

static void
uart_write_thr (Uart16550 *u, uint8_t value)
{
  if (u->tx_count >= uart_fifo_size (u))
    {
      /* Written while full: the character before is overwritten. */
      u->tx_head = (u->tx_head + 1) % UART_FIFO;
      u->tx_count--;
    }
  u->tx[(u->tx_head + u->tx_count++) % UART_FIFO] = value;
  u->thre_pending = false;
  u->lsr &= ~(LSR_THRE | LSR_TEMT);
  uart_update_irq (u);
  uart_transmit (u);
  uart_update_irq (u);
}

/* --- lines ----------------------------------------------------------------------------------------- */

static void
uart_update_line (Uart16550 *u)
{
  VmCharLine line = {
    .speed = u->baudbase / (u->divisor ? u->divisor : 1),
    .parity = u->lcr & 8 ? (u->lcr & 16 ? 'E' : 'O') : 'N',
    .data_bits = 5 + (u->lcr & 3),
    .stop_bits = u->lcr & 4 ? 2 : 1,
  };

  vm_char_fe_set_line (&u->chr, &line);
}

static void
uart_set_modem_lines (Uart16550 *u, uint8_t lines)
{
  uint8_t changed = (u->msr ^ lines) & 0xf0;
  uint8_t delta = changed >> 4;

  /* The ring indicator's delta counts only its trailing edge. */
  if (lines & MSR_RI)
    delta &= ~MSR_TERI;
  u->msr = (lines & 0xf0) | (u->msr & MSR_DELTA) | delta;
  uart_update_irq (u);
}

static void
uart_poll_modem (void *opaque)
{
  Uart16550 *u = opaque;
  unsigned host;

  if (u->mcr & MCR_LOOP)
    return;
  if (!vm_char_fe_get_modem (&u->chr, &host))
    {
      uart_set_modem_lines (u, MSR_CTS | MSR_DSR | MSR_DCD);
      return;
    }
  uart_set_modem_lines (u, (host & VM_CHAR_CTS ? MSR_CTS : 0) | (host & VM_CHAR_DSR ? MSR_DSR : 0)
                             | (host & VM_CHAR_RI ? MSR_RI : 0) | (host & VM_CHAR_DCD ? MSR_DCD : 0));
  /* The host tells changes only when asked: ten times a second while the guest wants to know. */
  if (u->ier & IER_MSI)
    vm_timer_set (&u->modem_poll, uart_now (u) + VM_NS_PER_SEC / 10);
}

static void
uart_write_mcr (Uart16550 *u, uint8_t value)
{
  u->mcr = value & 0x1f;
  if (u->mcr & MCR_LOOP)
    {
      uart_set_modem_lines (u, (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0)
                                 | (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
      return;
    }
  vm_char_fe_set_modem (&u->chr, (u->mcr & MCR_DTR ? VM_CHAR_DTR : 0) | (u->mcr & MCR_RTS ? VM_CHAR_RTS : 0));
  uart_poll_modem (u);
  vm_char_fe_accept_input (&u->chr);
}

static void
uart_write_lcr (Uart16550 *u, uint8_t value)
{
  bool brk = value & LCR_BREAK;

  u->lcr = value;
  uart_update_line (u);
  if (brk != u->break_sent)
    {
      u->break_sent = brk;
      vm_char_fe_set_break (&u->chr, brk);
    }
}

static void
uart_write_fcr (Uart16550 *u, uint8_t value)
{
  bool toggled = (value ^ u->fcr) & FCR_ENABLE;

  if (toggled || (value & FCR_RX_RESET))
    {
      u->rx_count = u->rx_head = 0;
      u->lsr &= ~(LSR_DR | LSR_BI);
      u->timeout_pending = false;
      vm_timer_cancel (&u->timeout);
      vm_char_fe_accept_input (&u->chr);
    }
  if (toggled || (value & FCR_TX_RESET))
    {
      u->tx_count = u->tx_head = 0;
      u->lsr |= LSR_THRE;
      u->thre_pending = true;
    }
  u->fcr = value & FCR_ENABLE ? value & FCR_STORED : 0;
  uart_update_irq (u);
}

static void
uart_write_ier (Uart16550 *u, uint8_t value)
{
  uint8_t changed = u->ier ^ (value & 15);

  u->ier = value & 15;
  if ((changed & IER_MSI) && (u->ier & IER_MSI))
    uart_poll_modem (u);
  /* Enabling the transmitter interrupt while it is empty raises it at once. */
  if ((changed & IER_THRI) && (u->ier & IER_THRI) && (u->lsr & LSR_THRE))
    u->thre_pending = true;
  uart_update_irq (u);
}

/* --- registers --------------------------------------------------------------------------------------- */

static uint64_t
uart_read (void *opaque, uint64_t offset, unsigned size)
{
  Uart16550 *u = opaque;
  uint8_t value;

  switch (offset)
    {
    case 0:
      if (u->lcr & LCR_DLAB)
        return u->divisor & 0xff;
      return uart_read_rbr (u);
    case 1:
      return u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
    case 2:
      value = u->iir;
      if ((value & 0x0f) == IIR_THRI)
        {
          u->thre_pending = false;
          uart_update_irq (u);
        }
      return value;
    case 3:
      return u->lcr;
    case 4:
      return u->mcr;
    case 5:
      value = u->lsr;
      if (value & (LSR_ERRORS))
        {
          u->lsr &= ~LSR_ERRORS;
          uart_update_irq (u);
        }
      return value;
    case 6:
      if (!(u->mcr & MCR_LOOP))
        uart_poll_modem (u);
      value = u->msr;
      u->msr &= ~MSR_DELTA;
      uart_update_irq (u);
      return value;
    default:
      return u->scr;
    }
}

static void
uart_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Uart16550 *u = opaque;

  vm_trace (SERIAL_WRITE, "write addr 0x%02x val 0x%02x", (unsigned) offset, (unsigned) value);
  switch (offset)
    {
    case 0:
      if (u->lcr & LCR_DLAB)
        {
          u->divisor = (u->divisor & 0xff00) | (value & 0xff);
          uart_update_line (u);
        }
      else
        uart_write_thr (u, value);
      break;
    case 1:
      if (u->lcr & LCR_DLAB)
        {
          u->divisor = (u->divisor & 0xff) | (value & 0xff) << 8;
          uart_update_line (u);
        }
      else
        uart_write_ier (u, value);
      break;
    case 2:
      uart_write_fcr (u, value);
      break;
    case 3:
      uart_write_lcr (u, value);
      break;
    case 4:
      uart_write_mcr (u, value);
      break;
    case 7:
      u->scr = value;
      break;
    }
}

const VmRegionOps uart16550_ops = {
  .read = uart_read,
  .write = uart_write,
  .valid = { .min = 1, .max = 8 },
  .impl = { .min = 1, .max = 1 },
};

static const VmCharFeOps uart_char_ops = {
  .can_receive = uart_can_receive,
  .receive = uart_receive,
  .event = uart_event,
  .writable = uart_writable,
};

/* --- life ---------------------------------------------------------------------------------------------- */

void
uart16550_reset (Uart16550 *u)
{
  vm_timer_cancel (&u->timeout);
  vm_timer_cancel (&u->modem_poll);
  u->divisor = 12; /* 9600 */
  u->ier = u->fcr = u->lcr = u->scr = u->rbr = 0;
  u->iir = IIR_NO_INT;
  u->mcr = MCR_OUT2;
  u->lsr = LSR_TEMT | LSR_THRE;
  u->msr = MSR_DCD | MSR_DSR | MSR_CTS;
  u->rx_head = u->rx_count = u->tx_head = u->tx_count = 0;
  u->tsr_full = u->thre_pending = u->timeout_pending = u->break_sent = false;
  uart_update_irq (u);
}

bool
uart16550_attach (Uart16550 *u, VmDevice *dev, VmIrq irq, GError **error)
{
  u->dev = dev;
  u->irq = irq;
  if (!vm_char_fe_attach (&u->chr, dev->env->root, &uart_char_ops, u, error))
    return false;
  vm_timer_init (&u->timeout, dev->env->clocks, VM_CLOCK_VIRTUAL, uart_timeout, u);
  vm_timer_init (&u->modem_poll, dev->env->clocks, VM_CLOCK_VIRTUAL, uart_poll_modem, u);
  return true;
}

void
uart16550_detach (Uart16550 *u)
{
  vm_timer_cancel (&u->timeout);
  vm_timer_cancel (&u->modem_poll);
  vm_char_fe_detach (&u->chr);
}

bool
uart16550_post_load (Uart16550 *u, GError **error)
{
  if (u->rx_head >= UART_FIFO || u->rx_count > UART_FIFO || u->tx_head >= UART_FIFO || u->tx_count > UART_FIFO)
    return vm_fail (error, "16550: impossible FIFO state");
  uart_update_line (u);
  uart_update_irq (u);
  return true;
}

const VmProp uart16550_props[] = {
  VM_PROP_CUSTOM_KIND ("chardev", Uart16550, chr, &vm_prop_chardev, NULL, "character back end"),
  VM_PROP ("baudbase", Uart16550, baudbase, 115200, "input clock / 16, in Hz"),
  VM_PROP ("wakeup", Uart16550, wakeup, false, "input wakes a suspended machine"),
  { 0 },
};

const VmField uart16550_state[] = {
  VM_FIELD (Uart16550, divisor),
  VM_FIELD (Uart16550, ier),
  VM_FIELD (Uart16550, iir),
  VM_FIELD (Uart16550, fcr),
  VM_FIELD (Uart16550, lcr),
  VM_FIELD (Uart16550, mcr),
  VM_FIELD (Uart16550, lsr),
  VM_FIELD (Uart16550, msr),
  VM_FIELD (Uart16550, scr),
  VM_FIELD (Uart16550, rbr),
  VM_FIELD_ARRAY (Uart16550, rx),
  VM_FIELD (Uart16550, rx_head),
  VM_FIELD (Uart16550, rx_count),
  VM_FIELD_ARRAY (Uart16550, tx),
  VM_FIELD (Uart16550, tx_head),
  VM_FIELD (Uart16550, tx_count),
  VM_FIELD (Uart16550, tsr),
  VM_FIELD (Uart16550, tsr_full),
  VM_FIELD (Uart16550, thre_pending),
  VM_FIELD (Uart16550, timeout_pending),
  VM_FIELD_TIMER_OF (Uart16550, timeout),
  VM_FIELD_TIMER_OF (Uart16550, modem_poll),
  { 0 },
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 53C9X core (Am53C974 PCscsi data sheet, chapter "SCSI core"; NCR 53C94/95/96 data sheet). Targets do not
 * disconnect: they may, and none of its drivers needs them to. */
#include "devices/scsi/esp.h"

enum { CMD_DMA = 0x80 };
enum {
  CMD_NOP = 0x00, CMD_FLUSH = 0x01, CMD_RESET = 0x02, CMD_BUS_RESET = 0x03, CMD_TRANSFER = 0x10, CMD_COMPLETE = 0x11,
  CMD_ACCEPT = 0x12, CMD_PAD = 0x18, CMD_SET_ATN = 0x1a, CMD_CLEAR_ATN = 0x1b, CMD_SELECT = 0x41, CMD_SELECT_ATN = 0x42,
  CMD_SELECT_STOP = 0x43, CMD_ENABLE_SELECT = 0x44, CMD_DISABLE_SELECT = 0x45, CMD_SELECT_ATN3 = 0x46,
};
enum { STATUS_PHASE = 0x07, STATUS_TC = 0x10, STATUS_GROSS = 0x40, STATUS_INT = 0x80 };
enum { INTR_FC = 0x08, INTR_BS = 0x10, INTR_DIS = 0x20, INTR_ILLEGAL = 0x40, INTR_RESET = 0x80 };
enum { CFG1_NO_RESET_INTR = 0x40, CFG1_ID = 0x07, CFG2_FEATURES = 0x40 };

typedef enum EspBusy {
  ESP_IDLE,
  ESP_SELECTING, /* messages, then the command */
  ESP_MOVING,    /* information transfer, in the phase of its start */
  ESP_PADDING,
  ESP_COMPLETING, /* status and message */
  ESP_SERVICE,   /* done; the interrupt comes with the target's next request */
  ESP_BUSY_N,
} EspBusy;

#define CHIP_ID 0x12
#define PIECE   4096u

/* --- interrupts ------------------------------------------------------------------------------------ */

static void
esp_raise (VmEsp *esp, uint8_t bits)
{
  esp->intr |= bits;
  esp->status |= STATUS_INT;
  esp->ops->interrupt (esp->opaque, true);
}

static void
esp_end (VmEsp *esp, uint8_t bits)
{
  esp->busy = ESP_IDLE;
  esp_raise (esp, bits);
}

/* BITS are raised when the target has decided on its next phase. */
static void
esp_end_with_service (VmEsp *esp, uint8_t bits)
{
  esp->busy = ESP_SERVICE;
  esp->pending_intr = bits;
}

/* --- bytes ----------------------------------------------------------------------------------------- */

static bool
by_dma (const VmEsp *esp)
{
  return esp->command & CMD_DMA;
}

/* Up to LEN bytes for the target from memory or the FIFO. */
static uint32_t
esp_fetch (VmEsp *esp, uint8_t *buf, uint32_t len)
{
  if (!by_dma (esp))
    {
      len = MIN (len, esp->fifo_n);
      memcpy (buf, esp->fifo, len);
      esp->fifo_n -= len;
      memmove (esp->fifo, esp->fifo + len, esp->fifo_n);
      return len;
    }
  len = esp->ops->dma (esp->opaque, buf, MIN (len, esp->count), false);
  esp->count -= len;
  if (!esp->count)
    esp->status |= STATUS_TC;
  return len;
}

static void
fifo_put (VmEsp *esp, uint8_t byte)
{
  if (esp->fifo_n < VM_ESP_FIFO)
    esp->fifo[esp->fifo_n++] = byte;
}

/* How many bytes the present command still takes of the target. */
static uint32_t
esp_room (const VmEsp *esp)
{
  return by_dma (esp) ? esp->count : VM_ESP_FIFO - esp->fifo_n;
}

/* --- commands at work ------------------------------------------------------------------------------ */

/* Selection: MESSAGES bytes of message out, then the command block. */
static bool
esp_select_step (VmEsp *esp)
{
  uint8_t bytes[16];
  uint32_t n;

  if (esp->messages)
    {
      n = esp_fetch (esp, bytes, esp->messages);
      if (!n)
        return false;
      esp->messages -= n;
      vm_scsi_link_write (&esp->link, bytes, n);
      if (esp->messages)
        return true;
      if ((esp->command & 0x7f) == CMD_SELECT_STOP)
        {
          esp->step = 1;
          esp_end_with_service (esp, INTR_FC | INTR_BS);
          return true;
        }
      vm_scsi_link_set_atn (&esp->link, false);
      return true;
    }
  if (esp->link.phase != VM_SCSI_PHASE_COMMAND)
    {
      if (!by_dma (esp))
        esp->status |= STATUS_TC; /* SeaBIOS waits for it: nothing is left to count */
      esp->step = 4;
      esp_end_with_service (esp, INTR_FC | INTR_BS);
      return true;
    }
  n = esp_fetch (esp, bytes, sizeof bytes);
  if (n)
    {
      vm_scsi_link_write (&esp->link, bytes, n);
      return true;
    }
  if (by_dma (esp) ? esp->count : false)
    return false; /* the engine is yet to be started */
  esp->step = 3; /* the target wants more than there is */
  esp_end_with_service (esp, INTR_FC | INTR_BS);
  return true;
}

static bool
esp_move_out (VmEsp *esp, bool zeros)
{
  uint8_t bytes[PIECE] = { 0 };
  uint32_t n = PIECE;

  if (zeros)
    {
      n = MIN (n, esp->count);
      esp->count -= n;
      if (!esp->count)
        esp->status |= STATUS_TC;
    }
  else
    n = esp_fetch (esp, bytes, n);
  if (!n)
    {
      if (!by_dma (esp) || !esp->count)
        {
          esp_end_with_service (esp, INTR_BS);
          return true;
        }
      return false;
    }

  bool message = esp->link.phase == VM_SCSI_PHASE_MESSAGE_OUT;
  uint32_t taken = vm_scsi_link_write (&esp->link, bytes, n);

  /* The chip drops ATN with the last byte of a message. */
  if (message && (by_dma (esp) ? !esp->count : !esp->fifo_n))
    vm_scsi_link_set_atn (&esp->link, false);
  /* What the target did not take went for nothing, as what a FIFO holds does when the phase changes. */
  if (by_dma (esp) && taken < n)
    {
      esp->count += n - taken;
      esp->status &= ~STATUS_TC;
    }
  return true;
}

static bool
esp_move_in (VmEsp *esp, bool discard)
{
  uint8_t bytes[PIECE];
  bool message = esp->link.phase == VM_SCSI_PHASE_MESSAGE_IN;
  uint32_t n = MIN (esp_room (esp), PIECE);

  if (message && !by_dma (esp))
    n = MIN (n, 1);
  if (!n)
    {
      esp_end_with_service (esp, INTR_BS);
      return true;
    }
  if (by_dma (esp) && !discard)
    {
      /* Nothing is asked of the target that the engine would not take. */
      if (!esp->ops->dma (esp->opaque, bytes, 0, true))
        return false;
    }
  n = vm_scsi_link_read (&esp->link, bytes, n);
  if (by_dma (esp))
    {
      if (!discard)
        esp->ops->dma (esp->opaque, bytes, n, true);
      esp->count -= n;
      if (!esp->count)
        esp->status |= STATUS_TC;
    }
  else
    for (uint32_t i = 0; i < n; i++)
      fifo_put (esp, bytes[i]);
  if (message)
    esp_end (esp, INTR_FC); /* with ACK held */
  return true;
}

/* An information transfer goes on while the target stays in the phase. */
static bool
esp_move_step (VmEsp *esp)
{
  bool pad = esp->busy == ESP_PADDING;

  if (!esp->phase_known)
    {
      if (esp->link.phase == VM_SCSI_PHASE_WAIT)
        return false;
      esp->phase_known = true;
      esp->status = (esp->status & ~STATUS_PHASE) | esp->link.phase;
    }
  if (esp->link.phase != (esp->status & STATUS_PHASE))
    {
      if (esp->link.phase == VM_SCSI_PHASE_WAIT && by_dma (esp) && esp->count)
        return false; /* perhaps it goes on */
      esp_end_with_service (esp, INTR_BS);
      return true;
    }
  if (by_dma (esp) && !esp->count)
    {
      esp_end_with_service (esp, INTR_BS);
      return true;
    }
  return esp->link.phase & 1 ? esp_move_in (esp, pad) : esp_move_out (esp, pad);
}

static bool
esp_complete_step (VmEsp *esp)
{
  uint8_t byte;

  if (esp->link.phase == VM_SCSI_PHASE_STATUS || esp->link.phase == VM_SCSI_PHASE_MESSAGE_IN)
    {
      bool message = esp->link.phase == VM_SCSI_PHASE_MESSAGE_IN;

      vm_scsi_link_read (&esp->link, &byte, 1);
      if (by_dma (esp) && esp->count && esp->ops->dma (esp->opaque, &byte, 1, true))
        {
          esp->count--;
          if (!esp->count)
            esp->status |= STATUS_TC;
        }
      else
        fifo_put (esp, byte);
      if (message)
        esp_end (esp, INTR_FC);
      return true;
    }
  if (esp->link.phase == VM_SCSI_PHASE_WAIT)
    return false;
  esp_end (esp, INTR_BS);
  return true;
}

static bool
esp_step (VmEsp *esp)
{
  switch (esp->busy)
    {
    case ESP_SELECTING:
      return esp_select_step (esp);
    case ESP_MOVING:
    case ESP_PADDING:
      return esp_move_step (esp);
    case ESP_COMPLETING:
      return esp_complete_step (esp);
    case ESP_SERVICE:
      if (esp->link.phase == VM_SCSI_PHASE_WAIT)
        return false;
      esp_end (esp, esp->pending_intr);
      return true;
    default:
      return false;
    }
}

/* As far as target and memory go along. Each step moves bytes or ends the command, and the target's part is bounded by
 * its buffer. */
static void
esp_run (VmEsp *esp)
{
  if (esp->inside)
    return;
  esp->inside = true;
  while (esp->link.phase != VM_SCSI_PHASE_FREE && esp_step (esp))
    ;
  esp->inside = false;
  if (esp->connected && esp->link.phase == VM_SCSI_PHASE_FREE)
    {
      esp->connected = false;
      esp_end (esp, INTR_DIS);
    }
}

static void
esp_link_changed (void *opaque)
{
  esp_run (opaque);
}

void
vm_esp_dma_ready (VmEsp *esp)
{
  esp_run (esp);
}

/* --- commands -------------------------------------------------------------------------------------- */

void
vm_esp_reset (VmEsp *esp)
{
  vm_scsi_link_reset (&esp->link, false);
  esp->fifo_n = 0;
  esp->command = esp->status = esp->intr = esp->step = 0;
  esp->cfg1 = esp->cfg1 & CFG1_ID;
  esp->cfg2 = esp->cfg3 = esp->cfg4 = 0;
  esp->clock = 2;
  esp->count = esp->count_start = 0;
  esp->count_high_set = esp->connected = false;
  esp->busy = ESP_IDLE;
  esp->messages = 0;
  esp->ops->interrupt (esp->opaque, false);
}

static void
esp_start_select (VmEsp *esp, unsigned messages)
{
  bool atn = messages != 0;

  esp->step = 0;
  vm_scsi_link_accept (&esp->link); /* SeaBIOS never accepts the last message */
  if (esp->link.phase != VM_SCSI_PHASE_FREE)
    {
      esp_end (esp, INTR_ILLEGAL);
      return;
    }
  if (!vm_scsi_link_select (&esp->link, esp->select_id, atn))
    {
      esp->fifo_n = 0; /* what was for this target is not for the next */
      esp_end (esp, INTR_DIS); /* timeout */
      return;
    }
  esp->connected = true;
  esp->messages = messages;
  esp->busy = ESP_SELECTING;
}

static void
esp_bus_reset (VmEsp *esp)
{
  vm_scsi_link_reset (&esp->link, true);
  esp->connected = false;
  esp->busy = ESP_IDLE;
  if (!(esp->cfg1 & CFG1_NO_RESET_INTR))
    esp_raise (esp, INTR_RESET);
}

static uint32_t
count_loaded (const VmEsp *esp)
{
  bool wide = esp->cfg2 & CFG2_FEATURES;

  if (esp->count_start)
    return esp->count_start;
  return wide ? 1u << 24 : 1u << 16;
}

/* One that needs a connection. */
static bool
esp_check_connected (VmEsp *esp)
{
  if (esp->link.phase != VM_SCSI_PHASE_FREE)
    return true;
  esp_end (esp, INTR_ILLEGAL);
  return false;
}

static void
esp_write_command (VmEsp *esp, uint8_t value)
{
  esp->command = value;
  if (value & CMD_DMA)
    {
      esp->count = count_loaded (esp);
      esp->status &= ~STATUS_TC;
    }
  switch (value & 0x7f)
    {
    case CMD_NOP:
    case CMD_ENABLE_SELECT:
    case CMD_DISABLE_SELECT:
      break;
    case CMD_FLUSH:
      esp->fifo_n = 0;
      break;
    case CMD_RESET:
      vm_esp_reset (esp);
      esp->command = CMD_RESET;
      break;
    case CMD_BUS_RESET:
      esp_bus_reset (esp);
      break;
    case CMD_SELECT:
      esp_start_select (esp, 0);
      break;
    case CMD_SELECT_ATN:
    case CMD_SELECT_STOP:
      esp_start_select (esp, 1);
      break;
    case CMD_SELECT_ATN3:
      esp_start_select (esp, 3);
      break;
    case CMD_TRANSFER:
    case CMD_PAD:
      if (!esp_check_connected (esp))
        break;
      esp->busy = (value & 0x7f) == CMD_PAD && (value & CMD_DMA) ? ESP_PADDING : ESP_MOVING;
      esp->phase_known = false;
      break;
    case CMD_COMPLETE:
      if (esp_check_connected (esp))
        esp->busy = ESP_COMPLETING;
      break;
    case CMD_ACCEPT:
      if (!esp_check_connected (esp))
        break;
      vm_scsi_link_accept (&esp->link);
      esp_end_with_service (esp, INTR_BS);
      break;
    case CMD_SET_ATN:
    case CMD_CLEAR_ATN:
      vm_scsi_link_set_atn (&esp->link, (value & 0x7f) == CMD_SET_ATN);
      break;
    default:
      esp_end (esp, INTR_ILLEGAL);
      break;
    }
  esp_run (esp);
}

/* --- registers ------------------------------------------------------------------------------------- */

static uint8_t
esp_read_status (const VmEsp *esp)
{
  uint8_t phase = esp->link.ack                                    ? VM_SCSI_PHASE_MESSAGE_IN
                  : esp->link.phase <= VM_SCSI_PHASE_MESSAGE_IN ? esp->link.phase
                                                                : esp->status & STATUS_PHASE;

  return (esp->status & ~STATUS_PHASE) | phase;
}

static uint8_t
esp_read_intr (VmEsp *esp)
{
  uint8_t value = esp->intr;

  esp->intr = 0;
  esp->step = 0;
  esp->status &= ~(STATUS_INT | STATUS_GROSS);
  esp->ops->interrupt (esp->opaque, false);
  return value;
}

/* SeaBIOS polls, and leaves the interrupt of its last command standing, which Linux's driver does not survive: it ends
 * when the status and the message have been taken, too. */
static uint8_t
esp_read_fifo (VmEsp *esp)
{
  uint8_t byte = esp->fifo[0];

  if (esp->fifo_n)
    {
      esp->fifo_n--;
      memmove (esp->fifo, esp->fifo + 1, esp->fifo_n);
      if (!esp->fifo_n && esp->busy == ESP_IDLE && (esp->command & 0x7f) == CMD_COMPLETE)
        esp_read_intr (esp);
    }
  return byte;
}

uint8_t
vm_esp_read (VmEsp *esp, unsigned reg)
{
  switch (reg)
    {
    case ESP_TCLOW:
      return (uint8_t) esp->count;
    case ESP_TCMED:
      return (uint8_t) (esp->count >> 8);
    case ESP_FIFO:
      return esp_read_fifo (esp);
    case ESP_CMD:
      return esp->command;
    case ESP_STATUS:
      return esp_read_status (esp);
    case ESP_INTR:
      return esp_read_intr (esp);
    case ESP_STEP:
      return esp->step;
    case ESP_FLAGS:
      return esp->fifo_n | esp->step << 5;
    case ESP_CFG1:
      return esp->cfg1;
    case ESP_CFG2:
      return esp->cfg2;
    case ESP_CFG3:
      return esp->cfg3;
    case ESP_CFG4:
      return esp->cfg4;
    case ESP_TCHI:
      return esp->count_high_set ? (uint8_t) (esp->count >> 16) : CHIP_ID;
    default:
      return 0;
    }
}

static void
esp_write_count (VmEsp *esp, unsigned shift, uint8_t value)
{
  esp->count_start = (esp->count_start & ~(255u << shift)) | (uint32_t) value << shift;
}

void
vm_esp_write (VmEsp *esp, unsigned reg, uint8_t value)
{
  switch (reg)
    {
    case ESP_TCLOW:
      esp_write_count (esp, 0, value);
      break;
    case ESP_TCMED:
      esp_write_count (esp, 8, value);
      break;
    case ESP_TCHI:
      esp->count_high_set = true;
      esp_write_count (esp, 16, value);
      break;
    case ESP_FIFO:
      if (esp->fifo_n == VM_ESP_FIFO)
        esp->status |= STATUS_GROSS;
      fifo_put (esp, value);
      break;
    case ESP_CMD:
      esp_write_command (esp, value);
      break;
    case ESP_STATUS:
      esp->select_id = value & 7;
      break;
    case ESP_INTR:
      esp->timeout = value;
      break;
    case ESP_STEP:
      esp->sync_period = value;
      break;
    case ESP_FLAGS:
      esp->sync_offset = value;
      break;
    case ESP_CFG1:
      esp->cfg1 = value;
      break;
    case ESP_CLOCK:
      esp->clock = value & 7;
      break;
    case ESP_CFG2:
      esp->cfg2 = value;
      break;
    case ESP_CFG3:
      esp->cfg3 = value;
      break;
    case ESP_CFG4:
      esp->cfg4 = value;
      break;
    default:
      break;
    }
}

/* --- life ------------------------------------------------------------------------------------------ */

void
vm_esp_init (VmEsp *esp, VmDevice *owner, const VmEspOps *ops, void *opaque)
{
  esp->ops = ops;
  esp->opaque = opaque;
  vm_scsi_link_init (&esp->link, owner, 7, 7, 7, esp_link_changed, esp);
  esp->link.stays = true;
}

void
vm_esp_destroy (VmEsp *esp)
{
  vm_scsi_link_destroy (&esp->link);
}

bool
vm_esp_loaded (VmEsp *esp)
{
  bool lost;

  if (esp->fifo_n > VM_ESP_FIFO || esp->busy >= ESP_BUSY_N || !vm_scsi_link_loaded (&esp->link, &lost))
    return false;
  if (lost)
    esp_bus_reset (esp);
  return true;
}

const VmField vm_esp_state[] = {
  VM_FIELD_EMBED (VmEsp, link, vm_scsi_link_state),
  VM_FIELD_ARRAY (VmEsp, fifo),
  VM_FIELD (VmEsp, fifo_n),
  VM_FIELD (VmEsp, command),
  VM_FIELD (VmEsp, status),
  VM_FIELD (VmEsp, intr),
  VM_FIELD (VmEsp, step),
  VM_FIELD (VmEsp, select_id),
  VM_FIELD (VmEsp, cfg1),
  VM_FIELD (VmEsp, cfg2),
  VM_FIELD (VmEsp, cfg3),
  VM_FIELD (VmEsp, cfg4),
  VM_FIELD (VmEsp, clock),
  VM_FIELD (VmEsp, timeout),
  VM_FIELD (VmEsp, sync_period),
  VM_FIELD (VmEsp, sync_offset),
  VM_FIELD (VmEsp, count_start),
  VM_FIELD (VmEsp, count),
  VM_FIELD (VmEsp, count_high_set),
  VM_FIELD (VmEsp, busy),
  VM_FIELD (VmEsp, messages),
  VM_FIELD (VmEsp, phase_known),
  VM_FIELD (VmEsp, pending_intr),
  VM_FIELD (VmEsp, connected),
  { 0 },
};

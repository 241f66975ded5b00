/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SCRIPTS processor (LSI53C895A Technical Manual, chapter 5). A round of instructions is bounded; a timer goes on,
 * so that no script keeps the machine from its other work. */
#include "devices/scsi/lsi.h"

#define ROUND       1000              /* instructions, or what takes as long, at a time */
#define ROUND_PAUSE (20 * VM_NS_PER_US)
#define COPY_STEP   4096u

enum { TYPE_BLOCK_MOVE, TYPE_IO, TYPE_TRANSFER, TYPE_MEMORY };
enum { IO_SELECT, IO_WAIT_DISCONNECT, IO_WAIT_RESELECT, IO_SET, IO_CLEAR, IO_WRITE, IO_READ, IO_MODIFY };
enum { FLAG_CARRY = 1 << 10, FLAG_TARGET = 1 << 9, FLAG_ACK = 1 << 6, FLAG_ATN = 1 << 3 };

typedef struct Insn {
  uint32_t command, operand;
  uint32_t upper; /* third word, of those that have one */
} Insn;

/* --- fetching -------------------------------------------------------------------------------------- */

static uint64_t
with_selector (const Lsi *s, unsigned selector, uint32_t addr)
{
  return (uint64_t) lsi_reg32 (s, selector) << 32 | addr;
}

static bool
fetch_word (Lsi *s, uint32_t *word)
{
  uint8_t bytes[4];
  uint32_t dsp = lsi_reg32 (s, DSP);

  if (!lsi_dma (s, with_selector (s, SFS, dsp), bytes, 4, false))
    return false;
  *word = vm_load_le32 (bytes);
  lsi_set_reg32 (s, DSP, dsp + 4);
  return true;
}

/* LEN bytes of the table that DSA points to. */
static bool
read_table (Lsi *s, uint32_t operand, uint8_t *buf, uint32_t len)
{
  uint32_t addr = lsi_reg32 (s, DSA) + (uint32_t) ((int32_t) (operand << 8) >> 8);

  s->move_entry = addr;
  return lsi_dma (s, with_selector (s, DRS, addr), buf, len, false);
}

static uint32_t
jump_target (const Lsi *s, const Insn *insn, bool relative)
{
  return relative ? lsi_reg32 (s, DSP) + (uint32_t) ((int32_t) (insn->operand << 8) >> 8) : insn->operand;
}

static void
jump (Lsi *s, uint32_t addr)
{
  lsi_set_reg32 (s, DSP, addr);
}

static void
illegal (Lsi *s)
{
  lsi_raise_dma (s, DSTAT_IID);
}

/* --- the bus --------------------------------------------------------------------------------------- */

/* The instruction is done again when something has changed. */
static void
wait_again (Lsi *s)
{
  s->wait = LSI_WAIT_AGAIN;
}

/* Scripts end a message byte by clearing ACK. Some forget (SeaBIOS's), and no chip they were tried with minded. */
static void
release_ack (Lsi *s)
{
  vm_scsi_link_accept (&s->link);
}

/* Whether the target asks for bytes; if not, the processor waits, or stops because there is none. */
static bool
phase_valid (Lsi *s)
{
  release_ack (s);
  if (s->select_failed)
    {
      s->select_failed = false;
      lsi_raise_scsi (s, 0, SIST1_STO);
      return false;
    }
  if (s->link.phase <= VM_SCSI_PHASE_MESSAGE_IN)
    {
      s->reg[SSTAT1] = s->link.phase;
      return true;
    }
  wait_again (s);
  return false;
}

/* Tells of a disconnection that the script did not allow for. */
static void
check_disconnect (Lsi *s)
{
  if (!s->connected || s->link.phase != VM_SCSI_PHASE_FREE)
    return;
  s->connected = false;
  if (s->reg[SCNTL2] & SCNTL2_SDU)
    lsi_raise_scsi (s, SIST0_UDC, 0);
}

/* --- block move ------------------------------------------------------------------------------------ */

static uint32_t
move_left (const Lsi *s)
{
  return lsi_reg32 (s, DBC) & 0xffffff;
}

static void
set_move_left (Lsi *s, uint32_t left)
{
  lsi_set_reg32 (s, DBC, (uint32_t) s->reg[DCMD] << 24 | left);
}

/* The target went to another phase: a jump when the script has asked for it, else an interrupt. */
static void
phase_mismatch (Lsi *s)
{
  unsigned expected = s->reg[DCMD] & 7;
  bool data = expected <= VM_SCSI_PHASE_DATA_IN, in = expected & 1;
  uint8_t control = s->reg[CCNTL0];

  s->wait = LSI_WAIT_NONE;
  if (!(control & CCNTL0_ENPMJ) || !(data || (control & CCNTL0_ENNDJ)))
    {
      lsi_set_reg32 (s, DNAD, (uint32_t) s->move_addr);
      lsi_raise_scsi (s, SIST0_MA, 0);
      return;
    }
  lsi_set_reg32 (s, RBC, lsi_reg32 (s, DBC));
  lsi_set_reg32 (s, UA, (uint32_t) s->move_addr);
  lsi_set_reg32 (s, ESA, s->move_entry);
  lsi_set_reg32 (s, IA, s->insn);
  /* With PMJCTL, by whether a byte is left over of a wide transfer: none ever is. */
  jump (s, lsi_reg32 (s, control & CCNTL0_PMJCTL ? PMJAD2 : in ? PMJAD2 : PMJAD1));
}

static bool
move_some (Lsi *s, bool in, uint32_t left, uint32_t *moved)
{
  uint8_t bytes[COPY_STEP];
  uint32_t n = MIN (left, sizeof bytes);

  if (in)
    {
      n = vm_scsi_link_read (&s->link, bytes, n);
      if (!n)
        return false;
      s->reg[SFBR] = bytes[0];
      s->reg[SIDL] = bytes[n - 1];
      if (!lsi_dma (s, s->move_addr, bytes, n, true))
        return false;
    }
  else
    {
      if (!lsi_dma (s, s->move_addr, bytes, n, false))
        return false;
      s->reg[SFBR] = bytes[0];
      n = vm_scsi_link_write (&s->link, bytes, n);
    }
  *moved = n;
  return n != 0;
}

/* As much of the move as the target takes part in; returns what that has cost. */
static unsigned
go_on_moving (Lsi *s)
{
  unsigned phase = s->reg[DCMD] & 7, cost = 0;
  uint32_t total = 0, n;

  while (move_left (s))
    {
      if (s->link.phase == VM_SCSI_PHASE_WAIT)
        {
          s->wait = LSI_WAIT_MOVE;
          break;
        }
      if (s->link.phase == VM_SCSI_PHASE_FREE)
        {
          check_disconnect (s);
          if (s->running)
            s->wait = LSI_WAIT_MOVE; /* for a reset */
          break;
        }
      if (s->link.phase != phase)
        {
          phase_mismatch (s);
          break;
        }
      if (!move_some (s, phase & 1, move_left (s), &n))
        break;
      s->move_addr += n;
      total += n;
      set_move_left (s, move_left (s) - n);
      cost += n / 64;
    }
  lsi_set_reg32 (s, DNAD, (uint32_t) s->move_addr);
  lsi_set_reg32 (s, SBC, total & 0xffffff);
  lsi_set_reg32 (s, CSBC, lsi_reg32 (s, CSBC) + total);
  if (!move_left (s))
    s->wait = LSI_WAIT_NONE;
  /* The chip drops ATN with the last byte of a message. */
  if (phase == VM_SCSI_PHASE_MESSAGE_OUT && !move_left (s))
    vm_scsi_link_set_atn (&s->link, false);
  return cost;
}

static unsigned
block_move (Lsi *s, Insn *insn)
{
  uint32_t count = insn->command & 0xffffff;
  bool table = insn->command & 1u << 28, indirect = insn->command & 1u << 29;
  uint8_t entry[8];
  uint64_t addr;

  if (!table && !indirect && (s->reg[CCNTL1] & CCNTL1_EXDBMV) && !fetch_word (s, &insn->upper))
    return 0;
  /* The manual calls a move of nothing illegal; SeaBIOS has one in place of data for commands without. */
  if (!table && count == 0)
    return 0;
  if (!phase_valid (s))
    return 0;
  s->move_entry = s->insn + 4;
  if (table)
    {
      uint32_t size;

      if (!read_table (s, insn->operand, entry, 8))
        return 0;
      size = vm_load_le32 (entry);
      count = size & 0xffffff;
      addr = vm_load_le32 (entry + 4);
      if (!(s->reg[CCNTL1] & CCNTL1_EXTIBMV))
        addr = with_selector (s, SBMS, (uint32_t) addr);
      else if (s->reg[CCNTL1] & CCNTL1_XTIMOD)
        addr |= (uint64_t) (size >> 24) << 32;
      else
        {
          unsigned index = size >> 24 & 31;

          addr = with_selector (s, index < 16 ? SCRATCHC + 4 * index : MMRS + 4 * (index - 16) % 24, (uint32_t) addr);
        }
    }
  else if (indirect)
    {
      if (!lsi_dma (s, with_selector (s, DRS, insn->operand), entry, 4, false))
        return 0;
      addr = with_selector (s, SBMS, vm_load_le32 (entry));
    }
  else if (s->reg[CCNTL1] & CCNTL1_EXDBMV)
    addr = (uint64_t) insn->upper << 32 | insn->operand;
  else
    addr = with_selector (s, SBMS, insn->operand);
  if (count == 0)
    {
      illegal (s);
      return 0;
    }
  /* SeaBIOS's script has a message for a target that it selected without asking for the message phase. */
  if ((insn->command >> 24 & 7) == VM_SCSI_PHASE_MESSAGE_OUT && s->link.phase == VM_SCSI_PHASE_COMMAND)
    vm_scsi_link_set_atn (&s->link, true);
  s->move_addr = addr;
  set_move_left (s, count);
  return go_on_moving (s);
}

/* --- I/O ------------------------------------------------------------------------------------------- */

static void
take_reselection (Lsi *s)
{
  s->reg[SSID] = 0x80 | vm_scsi_link_reselect (&s->link);
  s->connected = true;
}

static bool
reselection (Lsi *s)
{
  return (s->reg[SCID] & SCID_RRE) && vm_scsi_link_wants_reselect (&s->link);
}

static void
io_select (Lsi *s, const Insn *insn)
{
  bool relative = insn->command & 1u << 26, table = insn->command & 1u << 25, atn = insn->command & 1u << 24;
  uint8_t entry[4];
  unsigned id = insn->command >> 16 & 15;

  release_ack (s);
  if (s->link.phase != VM_SCSI_PHASE_FREE)
    {
      wait_again (s);
      return;
    }
  if (reselection (s))
    {
      take_reselection (s);
      jump (s, jump_target (s, insn, relative));
      return;
    }
  if (table)
    {
      if (!read_table (s, insn->command, entry, 4))
        return;
      id = entry[2] & 15;
      s->reg[SCNTL3] = entry[3];
      s->reg[SXFER] = entry[1];
    }
  s->reg[SDID] = id;
  s->select_failed = !vm_scsi_link_select (&s->link, id, atn);
  s->connected = !s->select_failed;
}

static void
io_wait_reselect (Lsi *s, const Insn *insn)
{
  release_ack (s);
  if (s->link.phase != VM_SCSI_PHASE_FREE)
    return; /* it happened while the script was selecting */
  if (reselection (s))
    take_reselection (s);
  else if (s->reg[ISTAT0] & ISTAT0_SIGP)
    jump (s, jump_target (s, insn, insn->command & 1u << 26));
  else
    wait_again (s);
}

static void
io_set (Lsi *s, uint32_t flags, bool on)
{
  if (flags & FLAG_CARRY)
    s->carry = on;
  if (flags & FLAG_ATN)
    vm_scsi_link_set_atn (&s->link, on);
  if ((flags & FLAG_ACK) && !on)
    {
      vm_scsi_link_accept (&s->link);
      check_disconnect (s);
    }
}

static uint8_t
operate (Lsi *s, unsigned operator, uint8_t value, uint8_t data)
{
  unsigned sum;

  switch (operator)
    {
    case 0:
      return data;
    case 1:
      sum = value << 1 | s->carry;
      s->carry = sum >> 8;
      return (uint8_t) sum;
    case 2:
      return value | data;
    case 3:
      return value ^ data;
    case 4:
      return value & data;
    case 5:
      sum = value | s->carry << 8;
      s->carry = value & 1;
      return (uint8_t) (sum >> 1);
    default:
      sum = value + data + (operator == 7 ? s->carry : 0);
      s->carry = sum >> 8;
      return (uint8_t) sum;
    }
}

static void
io_registers (Lsi *s, const Insn *insn, unsigned opcode)
{
  unsigned reg = (insn->command >> 16 & 0x7f) | (insn->command & 0x80);
  uint8_t data = insn->command & 1u << 23 ? s->reg[SFBR] : (uint8_t) (insn->command >> 8);
  unsigned operator= insn->command >> 24 & 7;
  uint8_t value = opcode == IO_WRITE ? s->reg[SFBR] : operator == 0 ? 0 : lsi_read_reg (s, reg);
  uint8_t result = operate (s, operator, value, data);

  if (opcode == IO_READ)
    s->reg[SFBR] = result;
  else
    lsi_write_reg (s, reg, result);
}

static void
io (Lsi *s, const Insn *insn)
{
  unsigned opcode = insn->command >> 27 & 7;

  switch (opcode)
    {
    case IO_SELECT:
      io_select (s, insn);
      break;
    case IO_WAIT_DISCONNECT:
      release_ack (s);
      if (s->select_failed)
        phase_valid (s);
      else if (s->link.phase != VM_SCSI_PHASE_FREE)
        wait_again (s);
      else
        s->connected = false;
      break;
    case IO_WAIT_RESELECT:
      io_wait_reselect (s, insn);
      break;
    case IO_SET:
    case IO_CLEAR:
      io_set (s, insn->command, opcode == IO_SET);
      break;
    default:
      io_registers (s, insn, opcode);
      break;
    }
}

/* --- transfer control ------------------------------------------------------------------------------ */

static bool
condition (const Lsi *s, uint32_t command)
{
  bool holds = true;

  if (command & 1u << 21)
    return s->carry == (command >> 19 & 1);
  if (command & 1u << 17)
    holds = s->reg[SSTAT1] == (command >> 24 & 7);
  if (command & 1u << 18)
    {
      uint8_t mask = (uint8_t) ~(command >> 8);

      holds = holds && (s->reg[SFBR] & mask) == (command & mask);
    }
  return holds == (command >> 19 & 1);
}

static void
transfer (Lsi *s, Insn *insn)
{
  uint32_t command = insn->command, target;

  if ((command & 1u << 22) && (command >> 27 & 7) == 0 && !fetch_word (s, &insn->upper))
    return;
  if ((command & 1u << 16) && !phase_valid (s))
    return;
  if (!condition (s, command))
    return;
  target = jump_target (s, insn, command & 1u << 23);
  switch (command >> 27 & 7)
    {
    case 0:
      jump (s, target);
      if (command & 1u << 22)
        lsi_set_reg32 (s, SFS, insn->upper);
      break;
    case 1:
      lsi_set_reg32 (s, TEMP, lsi_reg32 (s, DSP));
      jump (s, target);
      break;
    case 2:
      jump (s, lsi_reg32 (s, TEMP));
      break;
    case 3:
      if (command & 1u << 20)
        {
          s->reg[ISTAT0] |= ISTAT0_INTF;
          lsi_update_irq (s);
        }
      else
        lsi_raise_dma (s, DSTAT_SIR);
      break;
    default:
      illegal (s);
      break;
    }
}

/* --- memory move, load and store ------------------------------------------------------------------- */

static unsigned
memory_move (Lsi *s, Insn *insn)
{
  uint32_t left = insn->command & 0xffffff, from = insn->operand, to;
  uint8_t bytes[COPY_STEP];

  if (!fetch_word (s, &insn->upper))
    return 0;
  to = insn->upper;
  lsi_set_reg32 (s, TEMP, to);
  for (uint32_t n; left; left -= n, from += n, to += n)
    {
      n = MIN (left, sizeof bytes);
      if (!lsi_dma (s, with_selector (s, MMRS, from), bytes, n, false)
          || !lsi_dma (s, with_selector (s, MMWS, to), bytes, n, true))
        break;
    }
  set_move_left (s, left);
  return (insn->command & 0xffffff) / 64;
}

static void
load_store (Lsi *s, const Insn *insn)
{
  unsigned n = insn->command & 7, reg = insn->command >> 16 & 255;
  bool load = insn->command & 1u << 24, relative = insn->command & 1u << 28;
  uint8_t bytes[4];
  uint64_t addr;

  if (n == 0 || n > 4 || reg + n > 256)
    {
      illegal (s);
      return;
    }
  if (relative)
    addr = with_selector (s, DRS, lsi_reg32 (s, DSA) + (uint32_t) ((int32_t) (insn->operand << 8) >> 8));
  else
    addr = with_selector (s, load ? MMRS : MMWS, insn->operand);
  if (load)
    {
      if (lsi_dma (s, addr, bytes, n, false))
        for (unsigned i = 0; i < n; i++)
          lsi_write_reg (s, reg + i, bytes[i]);
      return;
    }
  for (unsigned i = 0; i < n; i++)
    bytes[i] = lsi_read_reg (s, reg + i);
  lsi_dma (s, addr, bytes, n, true);
}

/* --- the processor --------------------------------------------------------------------------------- */

/* One instruction; returns what it cost beyond one. */
static unsigned
step (Lsi *s)
{
  Insn insn;
  unsigned cost = 0;

  s->insn = lsi_reg32 (s, DSP);
  if (!fetch_word (s, &insn.command) || !fetch_word (s, &insn.operand))
    return 0;
  lsi_set_reg32 (s, DBC, insn.command);
  lsi_set_reg32 (s, DSPS, insn.operand);
  switch (insn.command >> 30)
    {
    case TYPE_BLOCK_MOVE:
      cost = block_move (s, &insn);
      break;
    case TYPE_IO:
      io (s, &insn);
      break;
    case TYPE_TRANSFER:
      transfer (s, &insn);
      break;
    case TYPE_MEMORY:
      if (insn.command & 1u << 29)
        load_store (s, &insn);
      else
        cost = memory_move (s, &insn);
      break;
    }
  check_disconnect (s);
  if (s->running && s->wait == LSI_WAIT_NONE && (s->reg[DCNTL] & DCNTL_SSM))
    lsi_raise_dma (s, DSTAT_SSI);
  return cost;
}

void
lsi_run (Lsi *s)
{
  unsigned spent = 0;

  if (!s->running || s->inside)
    return;
  s->inside = true;
  if (s->wait == LSI_WAIT_MOVE)
    spent = go_on_moving (s);
  else if (s->wait == LSI_WAIT_AGAIN)
    {
      jump (s, s->insn);
      s->wait = LSI_WAIT_NONE;
    }
  while (s->running && s->wait == LSI_WAIT_NONE && spent < ROUND)
    spent += 1 + step (s);
  s->inside = false;
  if (s->running && s->wait == LSI_WAIT_NONE && !vm_timer_pending (&s->run_timer))
    vm_timer_set (&s->run_timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + ROUND_PAUSE);
}

void
lsi_start (Lsi *s)
{
  s->running = true;
  s->wait = LSI_WAIT_NONE;
  lsi_run (s);
}

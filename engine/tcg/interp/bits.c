/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bit tests and scans, BMI1, BMI2, ADX, CRC32 and random numbers. What a guest may use of these, its host has. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

/* --- bit test ---------------------------------------------------------------------------------- */

typedef enum BitAction { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT } BitAction;

/* A register operand's flags are the host's; with memory the other flags stay as they are, as on the host. */
static uint64_t
apply_bit (BitAction action, uint64_t v, uint64_t bit)
{
  switch (action)
    {
    case BIT_SET: return v | bit;
    case BIT_RESET: return v & ~bit;
    case BIT_COMPLEMENT: return v ^ bit;
    default: return v;
    }
}

static void
bit_operation (VmX86Env *env, const VmInsn *insn, BitAction action)
{
  const VmInsnRow *row = row_of (insn);
  unsigned size = insn->opsize, access = action == BIT_TEST ? VM_ACCESS_READ : VM_ACCESS_WRITE;
  uint64_t index = operand_read (env, insn, &row->operand[1], size), bit;
  Target t;

  if (row->operand[1].kind == VM_OPND_I)
    index &= 0xff;
  bit = UINT64_C (1) << (index & (size * 8 - 1));
  if (insn->flags & VM_INSN_MEM)
    {
      uint64_t offset = vm_insn_offset (env, insn), linear;

      /* A register counts from the operand's address on, in both directions. */
      if (row->operand[1].kind == VM_OPND_G)
        offset = (offset + (sign_extend (index, size) >> __builtin_ctz (size * 8)) * size) &
                 size_mask (insn->addrsize);
      linear = vm_seg_linear (env, insn->seg, offset, size, access);
      if ((env->mode & VM_MODE_AC_CHECK) && (linear & (size - 1)))
        vm_x86_raise_error (env, VM_EXC_AC, 0);
      if (action == BIT_TEST)
        t.old = vm_mmu_load (env, linear, size, vm_tlb_context (env));
      else
        target_open_memory (env, &t, linear, size, insn->flags & VM_INSN_LOCK);
    }
  else
    target_open (env, insn, &row->operand[0], size, &t);
  if (action != BIT_TEST)
    while (!target_close (env, insn, &t, apply_bit (action, t.old, bit)))
      ;
  env->eflags = (env->eflags & ~(uint64_t) VM_CF) | (t.old & bit ? VM_CF : 0);
}

void
vm_op_bt (VmX86Env *env, const VmInsn *insn)
{
  bit_operation (env, insn, BIT_TEST);
}

void
vm_op_bts (VmX86Env *env, const VmInsn *insn)
{
  bit_operation (env, insn, BIT_SET);
}

void
vm_op_btr (VmX86Env *env, const VmInsn *insn)
{
  bit_operation (env, insn, BIT_RESET);
}

void
vm_op_btc (VmX86Env *env, const VmInsn *insn)
{
  bit_operation (env, insn, BIT_COMPLEMENT);
}

/* --- one source, one destination: the host's instruction on the whole register ------------------- */

#define SCAN_CASE(n, op, sfx, m)                                                                 \
  case n:                                                                                        \
    __asm__ (HOST_FLAGS_IN op sfx " %" m "2, %" m "1" HOST_FLAGS_OUT : "+&a" (ax), "+r" (v) : "r" (b)); \
    break;
#define DEFINE_SCAN(name)                                                                        \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    uint64_t b = operand_read (env, insn, &row_of (insn)->operand[1], insn->opsize);             \
    uint64_t v = env->gpr[insn->reg], ax = host_flags (env->eflags);                             \
                                                                                                 \
    switch (insn->opsize)                                                                        \
      {                                                                                          \
        SCAN_CASE (2, #name, "w", "w")                                                           \
        SCAN_CASE (4, #name, "l", "k")                                                           \
      default:                                                                                   \
        __asm__ (HOST_FLAGS_IN #name "q %2, %1" HOST_FLAGS_OUT : "+&a" (ax), "+r" (v) : "r" (b)); \
        break;                                                                                   \
      }                                                                                          \
    env->gpr[insn->reg] = v;                                                                     \
    set_host_flags (env, ax);                                                                    \
  }

DEFINE_SCAN (bsf)
DEFINE_SCAN (bsr)
DEFINE_SCAN (tzcnt)
DEFINE_SCAN (lzcnt)
DEFINE_SCAN (popcnt)

void
vm_op_bswap (VmX86Env *env, const VmInsn *insn)
{
  uint64_t v = env->gpr[insn->reg];

  switch (insn->opsize)
    {
    case 2: gpr_write (env, insn, insn->reg, 0, 2); break; /* undefined: zero on every processor known */
    case 4: env->gpr[insn->reg] = GUINT32_SWAP_LE_BE ((uint32_t) v); break;
    default: env->gpr[insn->reg] = GUINT64_SWAP_LE_BE (v); break;
    }
}

/* --- BMI --------------------------------------------------------------------------------------- */

#define Y(insn) ((insn)->opsize == 8 ? 8 : 4)

/* The asm operands: %0 flags, %1 result, %2 and %3 sources, in AT&T order of TEXT. */
#define BMI(text32, text64, d, x, y)                                                             \
  do                                                                                             \
    {                                                                                            \
      if (insn->opsize == 8)                                                                     \
        __asm__ (HOST_FLAGS_IN text64 HOST_FLAGS_OUT : "+&a" (ax), "=&r" (d) : "r" (x), "r" (y)); \
      else                                                                                       \
        __asm__ (HOST_FLAGS_IN text32 HOST_FLAGS_OUT : "+&a" (ax), "=&r" (d) : "r" (x), "r" (y)); \
    }                                                                                            \
  while (0)

#define DEFINE_BMI3(name, op)                                                                    \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    const VmInsnRow *row = row_of (insn);                                                        \
    uint64_t a = operand_read (env, insn, &row->operand[1], Y (insn));                           \
    uint64_t b = operand_read (env, insn, &row->operand[2], Y (insn)), v, ax = host_flags (env->eflags); \
                                                                                                 \
    BMI (op " %k3, %k2, %k1", op " %3, %2, %1", v, a, b);                                        \
    gpr_write (env, insn, insn->reg, v, Y (insn));                                               \
    set_host_flags (env, ax);                                                                    \
  }
/* Those whose table operands are register, r/m, vvvv take the r/m as AT&T's middle operand. */
DEFINE_BMI3 (andn, "andn")
DEFINE_BMI3 (pdep, "pdep")
DEFINE_BMI3 (pext, "pext")
DEFINE_BMI3 (bextr, "bextr")
DEFINE_BMI3 (bzhi, "bzhi")
DEFINE_BMI3 (shlx, "shlx")
DEFINE_BMI3 (sarx, "sarx")
DEFINE_BMI3 (shrx, "shrx")

#define DEFINE_BMI2(name)                                                                        \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    uint64_t a = operand_read (env, insn, &row_of (insn)->operand[1], Y (insn)), v;              \
    uint64_t ax = host_flags (env->eflags);                                                      \
                                                                                                 \
    BMI (#name " %k2, %k1", #name " %2, %1", v, a, a);                                           \
    gpr_write (env, insn, insn->vvvv, v, Y (insn));                                              \
    set_host_flags (env, ax);                                                                    \
  }

DEFINE_BMI2 (blsr)
DEFINE_BMI2 (blsmsk)
DEFINE_BMI2 (blsi)

void
vm_op_rorx (VmX86Env *env, const VmInsn *insn)
{
  unsigned bits = Y (insn) * 8, n = insn->imm & (bits - 1);
  uint64_t a = operand_read (env, insn, &row_of (insn)->operand[1], Y (insn));

  gpr_write (env, insn, insn->reg, n ? a >> n | a << (bits - n) : a, Y (insn));
}

void
vm_op_mulx (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = Y (insn);
  uint64_t a = env->gpr[VM_RDX] & size_mask (size);
  unsigned __int128 v = (unsigned __int128) a * operand_read (env, insn, &row_of (insn)->operand[2], size);

  gpr_write (env, insn, insn->vvvv, v, size);
  gpr_write (env, insn, insn->reg, v >> (size * 8), size);
}

static void
add_extended (VmX86Env *env, const VmInsn *insn, uint32_t flag)
{
  unsigned size = Y (insn);
  unsigned __int128 sum = operand_read (env, insn, &row_of (insn)->operand[1], size);

  sum += gpr_read (env, insn, insn->reg, size);
  sum += env->eflags & flag ? 1 : 0;
  gpr_write (env, insn, insn->reg, sum, size);
  env->eflags = (env->eflags & ~(uint64_t) flag) | (sum >> (size * 8) & 1 ? flag : 0);
}

void
vm_op_adcx (VmX86Env *env, const VmInsn *insn)
{
  add_extended (env, insn, VM_CF);
}

void
vm_op_adox (VmX86Env *env, const VmInsn *insn)
{
  add_extended (env, insn, VM_OF);
}

/* --- CRC32, random numbers ----------------------------------------------------------------------- */

/* Polynomial 11EDC6F41h, bit-reflected (SDM volume 2, CRC32). */
void
vm_op_crc32 (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = operand_size (insn, &row_of (insn)->operand[1]);
  uint64_t v = operand_read (env, insn, &row_of (insn)->operand[1], size);
  uint32_t crc = env->gpr[insn->reg];

  for (unsigned i = 0; i < size; i++, v >>= 8)
    {
      crc ^= v & 0xff;
      for (unsigned bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
  env->gpr[insn->reg] = crc;
}

#define DEFINE_RANDOM(name)                                                                      \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    uint64_t v = 0;                                                                              \
    uint8_t ok;                                                                                  \
                                                                                                 \
    __asm__ volatile (#name " %0\n\tsetc %1" : "=r" (v), "=qm" (ok) : : "cc");                   \
    gpr_write (env, insn, insn->rm, v, insn->opsize);                                            \
    env->eflags = (env->eflags & ~(uint64_t) VM_ARITH_FLAGS) | (ok ? VM_CF : 0);                 \
  }

DEFINE_RANDOM (rdrand)
DEFINE_RANDOM (rdseed)

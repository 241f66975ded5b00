/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One decoded x86 instruction, and the description of its form from the decode table.
 *
 * The table files (x86-*.tab here) are the one source: the decoder, the interpreter's dispatch, the
 * compiler's classes, flag liveness and the fuzzer's generator all come from them. A row:
 *
 *     mnemonic  encoding        operands       class  attributes
 *     add       01              +Ev,Gv         P      lock w=oszapc
 *     add       81 /0           +Ev,Iz         P      lock w=oszapc
 *     adc       11              +Ev,Gv         P      lock r=c w=oszapc
 *     jcc       0F 8x           Jz             X      r=cc
 *     addps     NP 0F 58        +Vx,Wx         M      sse  align
 *     vaddps    VEX.NP.0F 58    =Vx,Hx,Wx      M      avx
 *     fadd      D8 /0 mem       ST0,Md         M      x87
 *
 * Encoding: optional prefix selector (NP, 66, F3, F2) or VEX.pp.map[.W0|.W1][.L0|.L1]; opcode bytes, a
 * final "x" or "+r" digit range for condition/register in the opcode; "/n" for a modrm.reg extension; "mem" or
 * "reg" to demand modrm.mod != 3 or == 3; "/n /m" style with "rm=n" for a fixed modrm.rm.
 * Operands are the letter codes of the SDM's appendix A (E G M R I J O X Y V W H U P Q N C D S ...) with the
 * size letter (b w d q v z y x dq qq ss sd ...); "=" marks written, "+" read and written, plain read.
 * Class: P registers only can be passed through (and M forms when the operand is a register), M passed
 * through with the memory operand replaced, S special inline code, H interpreter helper, X ends a block.
 * Attributes: lock, rep, repz; r= flags read, w= written, u= left undefined (letters oszapc, "cc" = by
 * condition); priv (CPL 0), iopl, no64, only64, d64 (default 64-bit), f64 (forced), x87, mmx, sse, avx, ...
 * (CPUID feature names as in the CPU model table); align (16/32-byte alignment enforced). */
#pragma once

#include "engine/base/base.h"

#define VM_REG_NONE 0xff
#define VM_REG_RIP  0x10 /* as base: RIP-relative; disp counts from the next instruction */

enum VmInsnFlags {
  VM_INSN_LOCK   = 1 << 0,
  VM_INSN_REP    = 1 << 1, /* F3 */
  VM_INSN_REPNE  = 1 << 2, /* F2 */
  VM_INSN_MEM    = 1 << 3, /* has a memory operand at base+index*scale+disp (modrm or moffs) */
  VM_INSN_REX    = 1 << 4, /* any REX present: byte registers 4..7 are SPL..DIL */
  VM_INSN_REXW   = 1 << 5,
  VM_INSN_VEX    = 1 << 6,
  VM_INSN_VEX_L  = 1 << 7, /* 256-bit */
  VM_INSN_SEGOV  = 1 << 8, /* segment override prefix present */
  VM_INSN_OSIZE  = 1 << 9, /* 66 present */
  VM_INSN_ASIZE  = 1 << 10, /* 67 present */
  VM_INSN_UD     = 1 << 11, /* not a valid instruction (or LOCK not allowed): raises #UD */
  VM_INSN_TOOLONG = 1 << 12, /* over 15 bytes: #GP */
};

typedef struct VmInsn {
  uint16_t row;      /* index of vm_insn_rows[] */
  uint16_t flags;    /* VM_INSN_* */
  uint8_t  len;      /* bytes, prefixes included */
  uint8_t  opcode;   /* last opcode byte */
  uint8_t  modrm;    /* 0 when there is none: see the row */
  uint8_t  opsize;   /* effective operand size in bytes: 1 (byte forms), 2, 4, 8 */
  uint8_t  addrsize; /* 2, 4, 8 */
  uint8_t  seg;      /* effective segment of the memory operand, VM_ES.. */
  uint8_t  base, index, scale; /* scale is 1, 2, 4, 8 */
  uint8_t  reg;      /* modrm.reg with REX.R/VEX.R, or the register in the opcode with REX.B */
  uint8_t  rm;       /* modrm.rm with REX.B/VEX.B when it names a register */
  uint8_t  vvvv;     /* VEX.vvvv, not inverted */
  int32_t  disp;
  uint32_t imm2;     /* ENTER's level, far pointer's selector, is4 register byte */
  uint64_t imm;      /* sign-extended to 64 bits as the form says; moffs address; branch displacement */
} VmInsn;
_Static_assert (sizeof (VmInsn) == 32, "two a cache line");

typedef enum VmInsnClass { VM_CLASS_P, VM_CLASS_M, VM_CLASS_S, VM_CLASS_H, VM_CLASS_X } VmInsnClass;

typedef struct VmOperandSpec {
  uint8_t kind;   /* VmOperandKind, generated: E, G, M, ... */
  uint8_t size;   /* VmOperandSize, generated: b, w, v, ... */
  uint8_t access; /* bit 0 read, bit 1 written */
} VmOperandSpec;

typedef struct VmInsnRow {
  const char   *mnemonic;
  uint16_t      op;          /* VM_OP_*: one per mnemonic (and the interpreter's function) */
  uint8_t       class_;      /* VmInsnClass */
  uint8_t       n_operands;
  VmOperandSpec operand[4];
  uint16_t      flags_read, flags_written, flags_undefined; /* VM_CF | VM_ZF ...; cc rows: see vm_insn_flags_read() */
  uint32_t      attrs;       /* VM_ATTR_*, generated */
  uint16_t      feature;     /* CPUID feature it needs, generated enum; 0: none */
  /* How the form is encoded; the re-encoder of host-x86_64 builds host bytes from these. The last opcode
   * byte is VmInsn.opcode, an opcode extension is in VmInsn.modrm. */
  uint8_t       map;         /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
  uint8_t       prefix;      /* VM_PREFIX_*: the mandatory one; VEX: pp */
  uint8_t       enc;         /* VM_ENC_* */
  uint8_t       imm;         /* VM_IMM_* */
} VmInsnRow;

enum { VM_PREFIX_ANY, VM_PREFIX_NP, VM_PREFIX_66, VM_PREFIX_F3, VM_PREFIX_F2 };
enum {
  VM_ENC_MODRM    = 1 << 0,
  VM_ENC_VEX      = 1 << 1,
  VM_ENC_OPREG    = 1 << 2, /* VmInsn.reg is in the low three bits of the opcode */
  VM_ENC_SIZED    = 1 << 3, /* an operand of size v, z or y: REX.W/VEX.W follow VmInsn.opsize */
  VM_ENC_SIZED_66 = 1 << 4, /* an operand of size v or z: prefix 66 follows VmInsn.opsize */
  VM_ENC_REG_BYTE = 1 << 5, /* VmInsn.reg names a byte register (G or Z, size b) */
  VM_ENC_RM_BYTE  = 1 << 6, /* VmInsn.rm names a byte register (E, size b) */
  VM_ENC_EXT      = 1 << 7, /* modrm.reg extends the opcode */
};
enum { VM_IMM_NONE, VM_IMM_B, VM_IMM_W, VM_IMM_Z, VM_IMM_V, VM_IMM_BB /* two bytes: imm, imm2 */,
       VM_IMM_WB /* ENTER */, VM_IMM_IS4 /* the register byte is imm2 */, VM_IMM_MOFFS, VM_IMM_FAR,
       VM_IMM_REL };

extern const VmInsnRow vm_insn_rows[];
extern const unsigned  vm_insn_n_rows;

/* Decodes the instruction at BYTES, of which LEN (at most 15) are readable, for a code segment of
 * CODE_BITS 16, 32 or 64. Returns the number of bytes needed: <= LEN when INSN is filled; LEN + 1 or more when more
 * bytes must be fetched first (a page end). Never reads past LEN. FEATURES: bit set by feature number of
 * what the guest CPU has; what it lacks decodes as VM_INSN_UD. */
unsigned vm_insn_decode (const uint8_t *bytes, unsigned len, unsigned code_bits,
                         const uint64_t *features, VmInsn *insn);

/* The exception that INSN makes in any state with mode word MODE (undefined, privileged, FPU or vector state not
 * usable); -1 when there is none. #GP has error code 0. */
int vm_insn_static_fault (const VmInsn *insn, uint32_t mode);

/* EFLAGS bits read by this instance (conditions resolved). */
uint32_t vm_insn_flags_read (const VmInsn *insn);
/* One line of text for -d in_asm and the fuzzer's reports; static buffer of the caller. */
void vm_insn_format (const VmInsn *insn, uint64_t pc, char *buf, size_t size);

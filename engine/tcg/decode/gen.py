#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes table.h, ops.h, table.c and ops.c from the x86-*.tab files (format: README.md)."""

import re
import sys

FEATURES = '''
fpu tsc msr cx8 sep cmov clflush mmx fxsr sse sse2 pni ssse3 sse4.1 sse4.2 sse4a aes pclmulqdq sha-ni avx avx2
fma f16c fma4 xop bmi1 bmi2 abm popcnt movbe adx rdrand rdseed xsave xsaveopt xsavec xsaves xgetbv1 fsgsbase
rdtscp rdpid clflushopt clwb clzero cldemote wbnoinvd smap syscall lm lahf-lm cx16 monitor invpcid pku 3dnow
3dnowext mmxext 3dnowprefetch gfni vaes vpclmulqdq movdiri movdir64b svm vmx rtm mpx serialize tbm lwp
avx-vnni waitpkg cr8legacy amd-insns intel-insns amd-branch
'''.split()
FEATURE_ALIASES = {'x87': 'fpu', 'amd': 'amd-insns', 'intel': 'intel-insns', 'sse3': 'pni'}
STATE_OF = dict.fromkeys('sse sse2 pni ssse3 sse4.1 sse4.2 sse4a aes pclmulqdq sha-ni gfni'.split(), 'sse')
STATE_OF.update(dict.fromkeys('avx avx2 fma f16c fma4 xop vaes vpclmulqdq avx-vnni'.split(), 'avx'))
STATE_OF.update(dict.fromkeys('mmx 3dnow 3dnowext mmxext'.split(), 'mmx'))
STATE_OF['fpu'] = 'x87'

ATTRS = '''lock rep repz fcond priv iopl pe no64 only64 d64 f64 o8 align vsib ip rf notrap
state_x87 state_mmx state_sse state_avx'''.split()
LETTERS = 'EGMRZBIJAOXYVWUHLPQNSCD'
FIXED = {
    'AL': ('RAX', 'b'), 'CL': ('RCX', 'b'), 'AH': ('AH', 'b'), 'AX': ('RAX', 'w'), 'DX': ('RDX', 'w'),
    'eAX': ('RAX', 'z'), 'rAX': ('RAX', 'v'), 'rDX': ('RDX', 'v'), 'rCX': ('RCX', 'v'),
    'ES': ('ES', 'w'), 'CS': ('CS', 'w'), 'SS': ('SS', 'w'), 'DS': ('DS', 'w'), 'FS': ('FS', 'w'),
    'GS': ('GS', 'w'), '1': ('ONE', 'b'), 'ST0': ('ST0', 't'), 'STi': ('STI', 't'), 'XMM0': ('XMM0', 'dq'),
}
FIXED_KINDS = ['RAX', 'RCX', 'RDX', 'AH', 'ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'ONE', 'ST0', 'STI', 'XMM0']
SIZES = ['none', 'b', 'w', 'd', 'q', 'v', 'z', 'y', 'x', 'dq', 'qq', 'ss', 'sd', 'ps', 'pd', 'h', 'f', 'e',
         't', 'p', 's', 'a', 'bs']
FLAGS = {'o': 'VM_OF', 's': 'VM_SF', 'z': 'VM_ZF', 'a': 'VM_AF', 'p': 'VM_PF', 'c': 'VM_CF', 'd': 'VM_DF',
         'i': 'VM_IF'}
PP = {'NP': 1, '66': 2, 'F3': 4, 'F2': 8, 'NF': 3}
# Maps: 0 one byte, 1 0F, 2 0F38, 3 0F3A, 4 3DNow!, 5..7 VEX 0F, 0F38, 0F3A.
VEX_MAPS = {'0F': 5, '0F38': 6, '0F3A': 7}
IMM = {None: 0, 'Ib': 1, 'Ibs': 2, 'Iw': 3, 'Iz': 4, 'Iv': 5, 'Jb': 2, 'Jz': 4, 'Av': 6, 'O': 7, 'L': 8}


class Row:
    pass


def fail(where, text):
    sys.exit('%s: %s' % (where, text))


def ident(name):
    return re.sub('[^A-Za-z0-9]', '_', name)


def parse_encoding(r, where, words):
    r.map, r.opcode, r.n_opcodes = 0, None, 1
    r.vex, r.pp, r.w, r.l, r.mod, r.rm, r.reg, r.asize, r.b0, r.modrm = False, 15, 0, 0, 0, 255, 255, 0, False, False
    r.osz_imm_opcode = False
    words = list(words)
    if words[0].startswith('VEX.'):
        parts = words.pop(0).split('.')
        r.vex, r.pp, r.map = True, PP[parts[1]], VEX_MAPS[parts[2]]
        for p in parts[3:]:
            if p in ('W0', 'W1'):
                r.w = 1 + int(p[1])
            elif p in ('L0', 'L1'):
                r.l = 1 + int(p[1])
            elif p not in ('WIG', 'LIG'):
                fail(where, 'unknown VEX part ' + p)
    elif words[0] in ('NP', 'NF') or (words[0] in PP and len(words) > 1 and re.match('[0-9A-F]{2}', words[1])):
        r.pp = PP[words.pop(0)]
    opcode = []
    for w in words:
        if re.fullmatch('[0-9A-F]{2}', w):
            opcode.append(int(w, 16))
        elif re.fullmatch('[0-9A-F]x', w):
            opcode.append(int(w[0] + '0', 16))
            r.n_opcodes = 16
        elif re.fullmatch(r'[0-9A-F]{2}\+r', w):
            opcode.append(int(w[:2], 16))
            r.n_opcodes = 8
        elif re.fullmatch('/[0-7]', w):
            r.reg, r.modrm = int(w[1]), True
        elif w == '/r':
            r.modrm = True
        elif w in ('mem', 'reg'):
            r.mod, r.modrm = 1 if w == 'mem' else 2, True
        elif re.fullmatch('rm=[0-7]', w):
            r.rm, r.modrm = int(w[3]), True
        elif w in ('W0', 'W1'):
            r.w = 1 + int(w[1])
        elif w == 'B=0':
            r.b0 = True
        elif w in ('a16', 'a32', 'a64'):
            r.asize = int(w[1:]) // 8
        else:
            fail(where, 'unknown encoding word ' + w)
    if not r.vex:
        if opcode[:2] == [0x0f, 0x0f] and len(opcode) == 3:
            r.map, opcode, r.modrm = 4, opcode[2:], True
        elif opcode[:2] == [0x0f, 0x38]:
            r.map, opcode, r.modrm = 2, opcode[2:], True
        elif opcode[:2] == [0x0f, 0x3a]:
            r.map, opcode, r.modrm = 3, opcode[2:], True
        elif opcode[0] == 0x0f and len(opcode) > 1:
            r.map, opcode = 1, opcode[1:]
    if len(opcode) != 1:
        fail(where, 'bad opcode')
    r.opcode = opcode[0]


def parse_operands(r, where, text):
    r.operands, r.vvvv, imms = [], False, []
    has_crdr = re.search(r'[CD]y', text) is not None
    for t in [] if text == '-' else text.split(','):
        access = 1
        if t[0] in '=+!':
            access, t = {'=': 2, '+': 3, '!': 0}[t[0]], t[1:]
        if t in FIXED:
            kind, size = FIXED[t]
        else:
            kind, size = t[0], t[1:] or 'none'
            if kind not in LETTERS or size not in SIZES:
                fail(where, 'unknown operand ' + t)
            if kind in 'EGMRVWUPQNSCD':
                r.modrm = True
            if kind == 'M':
                r.mod = 1
            if kind in 'RUN' and not has_crdr:
                r.mod = 2
            if kind in 'HB':
                r.vvvv = True
            if kind in 'IJ':
                imms.append(t)
            elif kind == 'A':
                imms.append('Av')
            elif kind in 'OL':
                imms.append(kind)
        r.operands.append((kind, size, access))
    if len(imms) > 2 or len(r.operands) > 4:
        fail(where, 'too many operands')
    for i in imms:
        if i not in IMM:
            fail(where, 'unknown immediate ' + i)
    r.imm1 = IMM[imms[0]] if imms else 0
    r.imm2 = IMM[imms[1]] if len(imms) > 1 else 0
    sized = {(k, s) for k, s, a in r.operands if k in LETTERS and k not in 'IJ' or k == 'RAX'}
    r.byte = any(s == 'b' and k in 'EGZMXYO' or (k, s) == ('RAX', 'b') for k, s in sized) and \
        not any(s in 'vzy' for k, s in sized)


def parse_attrs(r, where, words):
    r.attrs, r.features, r.fr, r.fw, r.fu, r.op, r.fn, state = set(), [], '', '', '', None, None, None
    for w in words:
        key, _, value = w.partition('=')
        name = FEATURE_ALIASES.get(w, w)
        if key in ('r', 'w', 'u') and value:
            setattr(r, 'f' + key, value)
        elif key == 'op':
            r.op = value
        elif key == 'fn':
            r.fn = value
        elif key == 'state':
            state = value
        elif w in ATTRS:
            r.attrs.add(w)
        elif name in FEATURES:
            r.features.append(name)
        else:
            fail(where, 'unknown attribute ' + w)
    if len(r.features) > 1:
        fail(where, 'more than one CPUID feature')
    r.feature = r.features[0] if r.features else None
    if state is None:
        kinds = {k for k, s, a in r.operands}
        state = STATE_OF.get(r.feature, 'none')
        if r.vex and state == 'sse':
            state = 'avx'
        if state == 'sse' and kinds & set('PQN') and not kinds & set('VWU'):
            state = 'mmx'
    if state not in ('none', 'x87', 'mmx', 'sse', 'avx'):
        fail(where, 'unknown state ' + state)
    if state != 'none':
        r.attrs.add('state_' + state)
    if r.vex:
        r.attrs.add('pe')
    r.mode = 1 if 'no64' in r.attrs else 2 if 'only64' in r.attrs else 0


def parse(path, rows):
    default_fn = None
    for n, line in enumerate(open(path, encoding='ascii'), 1):
        line = line.split('#')[0].rstrip()
        if not line:
            continue
        where = '%s:%d' % (path, n)
        if line.startswith('default fn='):
            default_fn = line[11:]
            continue
        cols = re.split(' {2,}', line.strip())
        if len(cols) not in (4, 5):
            fail(where, 'a row has four or five columns, separated by two spaces or more')
        r = Row()
        r.where, r.mnemonic = where, cols[0]
        try:
            parse_encoding(r, where, cols[1].split())
        except (KeyError, IndexError, ValueError):
            fail(where, 'malformed encoding')
        parse_operands(r, where, cols[2])
        if cols[3] not in 'PMSHX':
            fail(where, 'unknown class ' + cols[3])
        r.class_ = cols[3]
        parse_attrs(r, where, cols[4].split() if len(cols) > 4 else [])
        r.op = ident(r.op or r.mnemonic.split('/')[0])
        r.fn = r.fn or default_fn or 'vm_op_' + r.op
        rows.append(r)


def demands(r):
    return ((r.pp in (1, 2, 4, 8)) * 2 + (r.pp == 3) + (r.w != 0) + (r.l != 0) + (r.mod != 0) + (r.rm != 255) +
            (r.reg != 255) + (r.asize != 0) + (r.mode != 0) + r.b0)


def flags(letters):
    names = [FLAGS[c] for c in letters if letters != 'cc' and c in FLAGS]
    return ' | '.join(names) or '0'


def write_table_h(out, rows, ops):
    p = lambda *a: print(*a, file=out)
    p('/* Generated by gen.py from the x86-*.tab files. */')
    p('#pragma once\n\n#include "engine/tcg/decode/insn.h"\n#include "engine/x86/cpu.h"\n')
    p('enum {\n  VM_OP_UNDEFINED,')
    for o in ops:
        p('  VM_OP_%s,' % o.upper())
    p('  VM_OP_N\n};\n')
    p('enum {\n  VM_OPND_NONE,')
    for k in list(LETTERS) + FIXED_KINDS:
        p('  VM_OPND_%s,' % k)
    p('};\n')
    p('enum {')
    for s in SIZES:
        p('  VM_SIZE_%s,' % s.upper())
    p('};\n')
    p('enum {')
    for i, a in enumerate(ATTRS):
        p('  VM_ATTR_%s = 1 << %d,' % (a.upper(), i))
    p('};\n')
    p('enum {\n  VM_FEATURE_NONE,')
    for f in FEATURES:
        p('  VM_FEATURE_%s,' % ident(f).upper())
    p('  VM_FEATURE_N\n};')
    p('#define VM_FEATURE_WORDS ((VM_FEATURE_N + 63) / 64)')
    p('/* By VM_FEATURE_*; the names of the CPU models. */')
    p('extern const char *const vm_feature_names[VM_FEATURE_N];')


def write_ops_h(out, rows, fns):
    p = lambda *a: print(*a, file=out)
    p('/* Generated by gen.py from the x86-*.tab files. */')
    p('#pragma once\n\n#include "engine/tcg/decode/table.h"\n#include "engine/tcg/interp/interp.h"\n')
    for f in fns:
        p('void %s (VmX86Env *env, const VmInsn *insn);' % f)
    p('\nextern const VmOpFunc vm_op_functions[VM_OP_N];')


def write_ops_c(out, ops):
    p = lambda *a: print(*a, file=out)
    p('/* Generated by gen.py from the x86-*.tab files. */')
    p('#include "engine/tcg/decode/ops.h"\n\nconst VmOpFunc vm_op_functions[VM_OP_N] = {')
    p('  [VM_OP_UNDEFINED] = vm_op_undefined,')
    for o, f in ops.items():
        p('  [VM_OP_%s] = %s,' % (o.upper(), f))
    p('};')


def row_c(r):
    opnds = ', '.join('{ VM_OPND_%s, VM_SIZE_%s, %d }' % (k, s.upper(), a) for k, s, a in r.operands)
    attrs = ' | '.join('VM_ATTR_' + a.upper() for a in ATTRS if a in r.attrs) or '0'
    feature = ident(r.feature or 'none').upper()
    prefix = {15: 'ANY', 1: 'NP', 2: '66', 4: 'F3', 8: 'F2', 3: 'NP'}[r.pp]
    sizes = {s for k, s, a in r.operands if k not in 'IJ'}
    enc = [('MODRM', r.modrm), ('VEX', r.vex), ('OPREG', r.n_opcodes == 8), ('SIZED', sizes & set('vzy')),
           ('SIZED_66', sizes & set('vz') or r.imm1 in (4, 5)),
           ('REG_BYTE', any(k in 'GZ' and s == 'b' for k, s, a in r.operands)),
           ('RM_BYTE', any(k == 'E' and s == 'b' for k, s, a in r.operands)), ('EXT', r.reg != 255)]
    enc = ' | '.join('VM_ENC_' + n for n, on in enc if on) or '0'
    imm = {(0, 0): 'NONE', (1, 0): 'B', (2, 0): 'B', (3, 0): 'W', (4, 0): 'Z', (5, 0): 'V', (1, 1): 'BB', (3, 1): 'WB',
           (8, 0): 'IS4', (6, 0): 'FAR', (7, 0): 'MOFFS', (8, 1): 'IS4', (1, 8): 'IS4'}[(r.imm1, r.imm2)]
    if any(k == 'J' for k, s, a in r.operands):
        imm = 'REL'
    return ('  { "%s", VM_OP_%s, VM_CLASS_%s, %d, { %s }, %s, %s, %s, %s, VM_FEATURE_%s, %d, VM_PREFIX_%s, %s, VM_IMM_%s },' %
            (r.mnemonic, r.op.upper(), r.class_, len(r.operands), opnds or '{ 0 }',
             flags(r.fr), flags(r.fw), flags(r.fu), attrs, feature, r.map - 4 if r.vex else r.map, prefix, enc, imm))


def match_c(r):
    f = []
    if r.modrm:
        f.append('MATCH_MODRM')
    if r.byte:
        f.append('MATCH_BYTE')
    if r.vvvv:
        f.append('MATCH_VVVV')
    if r.b0:
        f.append('MATCH_B0')
    if r.fr == 'cc':
        f.append('MATCH_CC')
    if r.n_opcodes == 8:
        f.append('MATCH_OPREG')
    sizes = {s for k, s, a in r.operands}
    if r.pp == 2 and not r.vex or 'y' in sizes and not sizes & set('vz'):
        f.append('MATCH_P66')
    return ('  { %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, 0x%02x, %d, %s },' %
            (r.pp, r.w, r.l, r.mod, r.rm, r.reg, r.asize, r.mode, r.imm1, r.imm2, r.opcode,
             r.map, ' | '.join(f) or '0'))


def write_table_c(out, rows):
    p = lambda *a: print(*a, file=out)
    p('/* Generated by gen.py from the x86-*.tab files. */')
    p('#include "engine/tcg/decode/table.h"\n#include "engine/tcg/decode/decode-private.h"\n')
    p('const char *const vm_feature_names[VM_FEATURE_N] = {')
    for f in FEATURES:
        p('  [VM_FEATURE_%s] = "%s",' % (ident(f).upper(), f))
    p('};\n')
    p('const VmInsnRow vm_insn_rows[] = {')
    p('  { "(bad)", VM_OP_UNDEFINED, VM_CLASS_X, 0, { { 0 } }, 0, 0, 0, VM_ATTR_IP, 0, 0, 0, 0, 0 },')
    for r in rows:
        p(row_c(r))
    p('};\nconst unsigned vm_insn_n_rows = G_N_ELEMENTS (vm_insn_rows);\n')
    p('const VmRowMatch vm_row_match[] = {\n  { 0 },')
    for r in rows:
        p(match_c(r))
    p('};\n')

    cands, slots, by_reg = [], {}, []
    where = {}
    for i, r in enumerate(rows, 1):
        for o in range(r.opcode, r.opcode + r.n_opcodes):
            where.setdefault((r.map, o), []).append((i, r))
    lists = {}

    def add(ids):
        key = tuple(ids)
        if key not in lists:
            lists[key] = len(cands)
            cands.extend(ids)
        return '{ %d, %d }' % (lists[key], len(ids))

    p('const VmLookup vm_lookup[8][256] = {')
    for (m, o), rs in sorted(where.items()):
        if len({r.modrm for i, r in rs}) != 1:
            fail(rs[0][1].where, 'forms of opcode %02x disagree about modrm' % o)
        rs.sort(key=lambda ir: -demands(ir[1]))
        if any(r.reg != 255 for i, r in rs):
            entries = [add([i for i, r in rs if r.reg in (255, k)]) for k in range(8)]
            p('  [%d][0x%02x] = { %d, 255, %d },' % (m, o, len(by_reg), rs[0][1].modrm))
            by_reg.append(entries)
        else:
            ids = [i for i, r in rs]
            add(ids)
            p('  [%d][0x%02x] = { %d, %d, %d },' % (m, o, lists[tuple(ids)], len(ids), rs[0][1].modrm))
    p('};\n')
    p('const VmLookupReg vm_lookup_by_reg[][8] = {')
    for e in by_reg:
        p('  { %s },' % ', '.join(e))
    p('  { { 0 } },\n};\n')
    p('const uint16_t vm_candidates[] = {\n  %s\n};' % ', '.join(map(str, cands or [0])))


def main():
    outdir, rows = sys.argv[1], []
    for path in sys.argv[2:]:
        parse(path, rows)
    ops = {}
    for r in rows:
        if ops.setdefault(r.op, r.fn) != r.fn:
            fail(r.where, 'operation %s has two functions: use op=' % r.op)
    fns = sorted(set(ops.values()) | {'vm_op_undefined'})
    ops = dict(sorted(ops.items()))
    for name, write in (('table.h', lambda o: write_table_h(o, rows, ops)), ('ops.h', lambda o: write_ops_h(o, rows, fns)),
                        ('table.c', lambda o: write_table_c(o, rows)), ('ops.c', lambda o: write_ops_c(o, ops))):
        with open(outdir + '/' + name, 'w', encoding='ascii') as out:
            write(out)


main()

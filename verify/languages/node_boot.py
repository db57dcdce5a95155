"""JavaScript that starts a candidate in Node: it reads the program from a descriptor, since no path leads to it."""

# A program is a CommonJS module or, where it does not parse as one, an ES module. There is no /dev in the sandbox, but
# many programs read their input by the name /dev/stdin: that name is the descriptor 0.
BOOT = """
const fs = require('fs'), vm = require('vm'), Module = require('module');
const text = Buffer.alloc(fs.fstatSync(3).size);
for (let at = 0; at < text.length;) at += fs.readSync(3, text, at, text.length - at, at);
fs.closeSync(3);
for (const owner of [fs, fs.promises])
  for (const name of ['readFileSync', 'openSync', 'readFile', 'open', 'createReadStream']) {
    const real = owner[name];
    if (!real) continue;
    const input = owner === fs && name.startsWith('read') ? 0 : null;
    owner[name] = function (path, ...rest) {
      if (path !== '/dev/stdin') return real.call(this, path, ...rest);
      if (input !== null) return real.call(this, input, ...rest);
      if (name === 'openSync') return 0;
      if (name === 'createReadStream') return real.call(this, null, {...rest[0], fd: 0, autoClose: false});
      if (owner === fs) return process.nextTick(rest[rest.length - 1], null, 0);
      return Promise.resolve(name === 'readFile' ? fs.readFileSync(0, ...rest) : 0);
    };
  }
Module.syncBuiltinESMExports();
const source = text.toString().replace(/^#!.*/, '');
let plain = true;
try { new vm.Script(Module.wrap(source), {filename: 'main.js'}); } catch (error) {
  if (!/import|export|await/.test(error.message)) throw error;
  plain = false;
}
if (plain) {
  const main = new Module('/tmp/main.js', null);
  main.filename = '/tmp/main.js';
  main.paths = [];
  require.main = process.mainModule = main;
  main._compile(source, '/tmp/main.js');
} else import('data:text/javascript;base64,' + Buffer.from(source).toString('base64'));
"""

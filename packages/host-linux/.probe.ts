import koffi from "koffi";
import { Memfd, UnixSocket, Mapping, Fd } from "./src/index.ts";
import { openSync } from "node:fs";
const [a,b]=UnixSocket.pair();
const h=koffi.node.poll(a.number,{readable:true,writable:false,disconnect:true} as any,((...x:any[])=>console.log("cb",x)) as any);
console.log(Object.getOwnPropertyNames(Object.getPrototypeOf(h)));
try { (h as any).start({readable:false,writable:false,disconnect:false}, ()=>console.log("never")); console.log("start with none ok"); } catch(e){console.log("start none", e)}
b.send(Uint8Array.of(1));
b[Symbol.dispose]();
setTimeout(()=>{ console.log("after close");
 try { (h as any).start({readable:true,writable:false,disconnect:true}, ((...x:any[])=>{console.log("cb2",x); (h as any).close()}) as any); } catch(e){console.log(e)}
},50);
try { const f=new Fd(openSync("/etc/passwd","r")); koffi.node.poll(f.number,{readable:true} as any,(()=>{}) as any); } catch(e){ console.log("regular file:", String(e)); }
const m=Memfd.create(5*2**30);
const map=new Mapping(m,{size:5*2**30});
console.log(map.bytes.length); map.bytes[5*2**30-1]=7; console.log(map.bytes[5*2**30-1]); map[Symbol.dispose]();

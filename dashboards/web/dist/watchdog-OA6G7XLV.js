var t=Date.now(),e=0;onmessage=()=>{t=Date.now()};setInterval(()=>{e=Date.now()-t>3e4?e+1:0,e>1&&postMessage("reload")},5e3);

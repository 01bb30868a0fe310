//! x
#![allow(clippy::all, unused)]
use plant::*;
fn main(){
 for f in demo_fleet(){ 
  let alloc=Allocation{cpu_cores:f.initial.cpu_cores.max(2.0),memory_bytes:1e12};
  let avail=alloc.cpu_cores-f.spec.cpu_fixed_cores;
  std::println!("{} D {} v {} c {}",f.workload,f.spec.cpu_seconds_per_request,f.spec.burstiness,alloc.cpu_cores);
  let row=|a:Allocation,p:f64|->Vec<(f64,f64,f64,bool)>{(1..=12).map(|i|{let load=i as f64*0.08*avail/f.spec.cpu_seconds_per_request; let mut pl=Plant::new(f.spec.clone(),1,a); let r=pl.step(0,1000,p,load); let r2=|x:f64|(x*1000.).round()/1000.; (r2(r.throttled_ratio),r2(r.cpu_pressure_ratio),r2(r.latency_p99_seconds.unwrap()),r.violated)}).collect()};
  let pr=row(alloc,1.0); std::println!(" primary {:?}",pr);
  for (sf,p) in [(0.2,0.25),(0.25,0.25),(0.25,0.375),(0.4,0.5),(0.5,0.75)]{ let sh=ShadowShape{size_ratio:sf,mirrored_share:p}; std::println!(" f {sf} p {p} k {:.2} {:?}",sh.amplification(),row(sh.allocation(&f.spec,alloc),p).iter().map(|x|(x.0,x.2,x.3 as u8)).collect::<Vec<_>>()); }
 }
}

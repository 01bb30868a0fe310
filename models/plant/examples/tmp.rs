//! x
#![allow(clippy::all, unused)]
use plant::*; use std::time::Instant;
fn main(){
 let spec=PlantSpec{cpu_seconds_per_request:0.01,cpu_fixed_cores:0.0,max_parallelism:64,burstiness:1.0,base_latency_seconds:0.05,slo_latency_seconds:0.1,..demo_fleet()[0].spec.clone()};
 for l in [50.,200.,800.]{std::println!("demand {l} {} {}",queueing::demand_cores(&spec,l), l*0.01/queueing::demand_cores(&spec,l));}
 let d=load::Daily{trough_requests_per_second:80.,peak_requests_per_second:400.,lunch_ratio:0.75,weekend_ratio:0.5};
 let s=LoadShape{pattern:load::Pattern::Daily(d),noise_ratio:0.,flash_crowd:None};
 for m in [240u64,540,750,975,1200]{std::println!("daily {m} {}",s.load(m*60000,1));}
 let fleet=demo_fleet();
 for day in [4u64]{ for m in (0..1440u64).step_by(30).chain(760..830){ let t=day*86400000+m*60000; let ds:Vec<f64>=fleet.iter().map(|f|demand(&f.spec,f.shape.load(t,f.seed(1))).cpu_cores).collect(); let mem:f64=fleet.iter().map(|f|demand(&f.spec,f.shape.load(t,f.seed(1))).memory_bytes).sum::<f64>()/1073741824.; std::println!("{:02}:{:02} total {:.1} mem {:.1} {:?}",m/60,m%60,ds.iter().sum::<f64>(),mem,ds.iter().map(|x|(x*10.).round()/10.).collect::<Vec<_>>());}
 for seed in 1..=10u64 { let short=(0..1440u64).filter(|m|{let t=day*86400000+m*60000;fleet.iter().map(|f|{let d=demand(&f.spec,f.shape.load(t,f.seed(seed)));d.max(f.min).min(f.max).cpu_cores}).sum::<f64>()>24.}).collect::<Vec<_>>(); std::println!("seed {seed} short {} {:?}..{:?}",short.len(),short.first(),short.last());}}
 for f in &fleet{ let seed=f.seed(1); let n=200_000u64; let mut x=0.; let t0=Instant::now(); for i in 0..n{x+=f.shape.load(i*1000,seed);} let tl=t0.elapsed().as_nanos() as f64/n as f64;
  let mut p=Plant::new(f.spec.clone(),seed,f.initial); let t0=Instant::now(); for i in 0..n{x+=p.step(i*1000,1000,1.0,x.fract()+f.shape.load(0,seed)).cpu_used_cores;} let ts=t0.elapsed().as_nanos() as f64/n as f64;
  let t0=Instant::now(); for i in 0..n/10{x+=demand(&f.spec,i as f64*f.max.cpu_cores/f.spec.cpu_seconds_per_request/(n/10) as f64).cpu_cores;} let td=t0.elapsed().as_nanos() as f64/(n/10) as f64;
  std::println!("{} load {tl:.0} step {ts:.0} demand {td:.0} ns {x}",f.workload);}
 // episodic: initial alloc violated share per day
 for f in &fleet{ let seed=f.seed(1); let mut p=Plant::new(f.spec.clone(),seed,f.initial); let mut v=0;let mut oom=0; for i in 0..86400/5u64{let t=4*86400000+i*5000; let r=p.step(t,5000,1.,f.shape.load(t,seed)); v+=r.violated as u32; oom+=r.oom as u32;} std::println!("{} static violated {:.3} oom {oom}",f.workload,v as f64/17280.);
  if let Some(s)=f.shadow { let mut p=Plant::new(f.spec.clone(),seed^1,s.allocation(&f.spec,f.initial)); let mut v=0;let mut oom=0;let mut first=0; for i in 0..86400/5u64{let t=4*86400000+i*5000; let r=p.step(t,5000,s.mirrored_share,f.shape.load(t,seed)); v+=r.violated as u32; if r.oom && first==0 {first=i*5;} oom+=r.oom as u32;} std::println!("   shadow violated {:.3} oom {oom} first {first}",v as f64/17280.);}}
}
